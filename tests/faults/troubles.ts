/** Ways to bring a fault about. */
import type { Bed } from "../cli/harness.ts";
import type { Faults } from "../pve/mod.ts";
import { eventually } from "./case.ts";

/** The simulated tools do this wrong for a guest. */
export function simulated(vmid: number, faults: Faults): (bed: Bed) => void {
  return (bed) => bed.node.fault(vmid, faults);
}

/** Holds the node's vzdump lock, as another vzdump would. */
export function holdLock(bed: Bed): Disposable {
  const file = Deno.openSync(`${bed.node.dir}/nodes/${bed.node.name}/vzdump.lock`, {
    create: true,
    write: true,
  });
  file.lockSync(true);
  let isHeld = true;
  return {
    [Symbol.dispose]() {
      if (isHeld) file.close();
      isHeld = false;
    },
  };
}

/** Waits until a tool, or a subcommand of one, was called. */
export async function toolRuns(bed: Bed, word: string): Promise<void> {
  await eventually(
    `${word} runs`,
    () => bed.node.calls().some(({ tool, argv }) => tool === word || argv[0] === word),
  );
}

/** The only snapshot of a store where other things lie about: its path and the names in it. */
export function snapshotOf(bed: Bed): { path: string; names: string[] } {
  const [name] = [...Deno.readDirSync(bed.store)].map((entry) => entry.name).filter((entry) =>
    /^\d{4}-.*Z-/.test(entry)
  );
  const path = `${bed.store}/${name}`;
  return { path, names: [...Deno.readDirSync(path)].map((entry) => entry.name) };
}
