/** A guest of a simulated node, dumped by its vzdump and streamed back by its restore tools. */
import assert from "node:assert/strict";
import { parseArchiveName } from "../../../src/archive/names.ts";
import type { FlowEvent } from "../../../src/core/events.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type { RestoreSettings } from "../../../src/restore/plan.ts";
import type { RestoreReport } from "../../../src/restore/report.ts";
import { restore } from "../../../src/restore/restore.ts";
import { readWishes, survey } from "../../../src/restore/survey.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { decoderTools } from "../../../src/setup/decoders.ts";
import { type GuestSpec, SimNode, type SimOptions } from "../../pve/mod.ts";
import { names, run } from "../../pve/test_tools.ts";
import { TestSource, type TestSourceOptions } from "../core/test_source.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";
import { SETTINGS } from "./surroundings.ts";

export const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  status: "stopped",
  disks: [{ key: "scsi0", size: "4M", storage: "fast" }, { key: "scsi1", size: 70144, storage: "fast" }],
  firewall: "[OPTIONS]\nenable: 1\n",
};

export const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  status: "stopped",
  disks: [
    { key: "rootfs", size: "1G", storage: "fast", options: "acl=1" },
    { key: "mp0", size: "512M", storage: "fast", options: "mp=/data,backup=1,mountoptions=noatime" },
  ],
  config: { mp2: "/srv/host,mp=/host,ro=1" },
};

export interface Given {
  guest: GuestSpec;
  compress?: string;
  /** Default: a vmid that is free. */
  newid?: number;
  settings?: Partial<RestoreSettings>;
  node?: SimOptions;
  /** Changes the archive that comes; the plan sees the whole one. */
  change?: (bytes: Uint8Array) => Uint8Array;
  source?: TestSourceOptions;
  /** Of the archive as it was dumped. */
  sha256?: (bytes: Uint8Array) => string;
  stop?: AbortController;
  listen?: (event: FlowEvent, sim: SimNode) => void;
  /** Between the backup and the restore. */
  meanwhile?: (sim: SimNode) => void;
  /** After the plan was made. */
  planned?: (sim: SimNode) => void;
}

/** Dumps the guest, streams it back and answers what became of it. */
export async function streamed(given: Given) {
  const { guest, compress = "0", stop = new AbortController() } = given;
  const storages = ["fast", "big", "slow"].map((id) => ({ id, type: "dir", content: "images,rootdir" }));
  const sim = await SimNode.create({ storages, guests: [guest], ...given.node });
  try {
    const { archive, bytes } = await dump(sim, guest, compress);
    given.meanwhile?.(sim);
    const nodes = await simNodes(sim);
    const decoder = decoderTools(new LocalRunner());
    const arriving = given.change?.(bytes) ?? bytes;
    let opened = 0;
    const source = {
      open: () =>
        Promise.resolve(opened++ === 0 ? new TestSource(bytes) : new TestSource(arriving, given.source)),
    };
    const newid = given.newid ?? 900;
    const record = given.sha256 ? { sha256: given.sha256(bytes) } : {};
    const wishes = await readWishes(nodes.entry, [{ ...archive, ...record }], newid, { source, decoder });
    const asked = { ...SETTINGS, method: "stream", dumpDir: sim.dumpDir, ...given.settings } as const;
    const plans = planRestores(wishes, await survey(nodes, wishes, asked), asked);
    given.planned?.(sim);
    const saved: RestoreReport[] = [];
    const report = await restore(plans, {
      nodes,
      source,
      decoder,
      runId: "0123",
      dumpDir: sim.dumpDir,
      cleanup: true,
      shutdownTimeout: 5,
      now: () => new Date(0),
      listen: (event) => given.listen?.(event, sim),
      stop: stop.signal,
      save: (now) => Promise.resolve(void saved.push(structuredClone(now))),
    });
    assert.deepEqual(await namesIn(sim.dumpDir), [], "something was left in dump_dir");
    assert.deepEqual(sim.processes(), [], "a worker is left");
    const call = sim.calls().find(({ tool, argv }) => tool === "qmrestore" || argv[0] === "restore");
    return {
      sim,
      plan: plans[0]!,
      report,
      entry: report.guests[0]!,
      argv: call?.argv,
      exit: call?.exit,
      saved,
    };
  } catch (error) {
    await sim.dispose();
    throw error;
  }
}

async function dump(sim: SimNode, guest: GuestSpec, compress: string) {
  const dir = `${sim.dir}/source`;
  await Deno.mkdir(dir, { mode: 0o711 });
  const dumped = await run(sim, "vzdump", [guest.vmid, "--dumpdir", dir, "--compress", compress]);
  assert.equal(dumped.code, 0, dumped.stderr);
  const name = names(dir).find((entry) => parseArchiveName(entry)) ?? "";
  const bytes = await Deno.readFile(`${dir}/${name}`);
  const archive: StoredArchive = {
    name,
    kind: guest.kind ?? "qemu",
    vmid: guest.vmid,
    bytes: bytes.byteLength,
  };
  return { archive, bytes };
}

/** Volumes that belong to a vmid, attached or not. */
export function volumesOf(sim: SimNode, vmid: number): string[] {
  return Object.entries(sim.state().volumes).filter(([, volume]) => volume.vmid === vmid).map(([id]) => id);
}

/** Bytes of all files below a directory. */
export function bytesBelow(dir: string): number {
  let bytes = 0;
  for (const { name, isDirectory } of Deno.readDirSync(dir)) {
    bytes += isDirectory ? bytesBelow(`${dir}/${name}`) : Deno.statSync(`${dir}/${name}`).size;
  }
  return bytes;
}
