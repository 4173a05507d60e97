// Guests of a simulated cluster, dumped by its own vzdump, then restored as a plan says.
import assert from "node:assert/strict";
import { parseArchiveName } from "../../../src/archive/names.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type { PlannedRestore, RestoreSettings } from "../../../src/restore/plan.ts";
import type { RestoredGuest } from "../../../src/restore/report.ts";
import { restore } from "../../../src/restore/restore.ts";
import { readWishes, survey } from "../../../src/restore/survey.ts";
import type { TargetRule } from "../../../src/restore/targets.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { decoderTools } from "../../../src/setup/decoders.ts";
import { type GuestSpec, SimNode, type SimOptions } from "../../pve/mod.ts";
import { run } from "../../pve/test_tools.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";
import { SETTINGS } from "./surroundings.ts";

export interface Given {
  guests: GuestSpec[];
  /** Guests to restore, by vmid; default: the first. */
  vmids?: number[];
  sim?: SimOptions;
  settings?: Partial<RestoreSettings>;
  rule?: TargetRule;
  archive?: Partial<StoredArchive>;
  /** Between the dump and the plan, and between the plan and the restore. */
  beforePlan?: (sim: SimNode) => void;
  afterPlan?: (sim: SimNode) => void;
  shutdownTimeout?: number;
  /** False: only plans. */
  carriesOut?: boolean;
}

export interface Restored extends AsyncDisposable {
  sim: SimNode;
  plan: PlannedRestore;
  plans: PlannedRestore[];
  entry: RestoredGuest;
  entries: RestoredGuest[];
  notes: string[];
  /** Calls of tools that change something since the plan: `qm shutdown 101 …`. */
  done: string[];
}

/** Dumps the guests, plans and carries out their restore. The simulated node lives until the answer is disposed of. */
export async function dumpAndRestore(given: Given): Promise<Restored> {
  const { guests, settings, rule, carriesOut = true } = given;
  const sim = await SimNode.create({ guests, ...given.sim });
  try {
    const machine = new LocalRunner();
    const { archives, pathOf } = await dump(sim, guests, given);
    given.beforePlan?.(sim);
    const nodes = await simNodes(sim);
    const from = {
      source: { open: ({ name }: StoredArchive) => machine.files.open(pathOf(name)) },
      decoder: decoderTools(machine),
    };
    const asked = { ...SETTINGS, ifExists: "replace", ...settings } as const;
    const wishes = await readWishes(nodes.entry, archives, rule, from);
    const plans = planRestores(wishes, await survey(nodes, wishes, asked), asked);
    given.afterPlan?.(sim);
    const callsBefore = sim.calls().length;
    const notes: string[] = [];
    const report = await restore(carriesOut ? plans : [], {
      nodes,
      ...from,
      runId: "0123",
      dumpDir: sim.dumpDir,
      cleanup: true,
      shutdownTimeout: given.shutdownTimeout ?? 5,
      now: () => new Date(0),
      listen: (event) => void (event.type === "note" && notes.push(event.text)),
      stop: new AbortController().signal,
      save: () => Promise.resolve(),
    });
    assert.deepEqual(await namesIn(sim.dumpDir), [], "something was left in dump_dir");
    return {
      sim,
      plans,
      plan: plans[0]!,
      entries: report.guests,
      entry: report.guests[0]!,
      notes,
      done: sim.calls().slice(callsBefore).map(({ tool, argv }) => [tool, ...argv].join(" "))
        .filter((call) => !/^pvesh get| (status|config) /.test(call)),
      [Symbol.asyncDispose]: () => sim.dispose(),
    };
  } catch (error) {
    await sim.dispose();
    throw error;
  }
}

async function dump(sim: SimNode, guests: readonly GuestSpec[], { vmids, archive }: Given) {
  const source = `${sim.dir}/source`;
  await Deno.mkdir(source, { mode: 0o711 });
  const archives: StoredArchive[] = [];
  for (const vmid of vmids ?? [guests[0]!.vmid]) {
    const dumped = await run(sim, "vzdump", [vmid, "--dumpdir", source]);
    assert.equal(dumped.code, 0, dumped.stderr);
    const name = (await namesIn(source)).find((entry) => parseArchiveName(entry)?.vmid === vmid)!;
    const { size: bytes } = await Deno.stat(`${source}/${name}`);
    const { kind } = parseArchiveName(name)!;
    archives.push({ name, kind, vmid, bytes, ...archive });
  }
  return { archives, pathOf: (name: string) => `${source}/${name}` };
}
