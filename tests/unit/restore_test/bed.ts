// Restore tests of VMs whose archives are made to measure, on a simulated node.
import assert from "node:assert/strict";
import { bytesSource } from "../../../src/core/bytes.ts";
import type { FlowEvent } from "../../../src/core/events.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import type { TestedGuest } from "../../../src/restore_test/report.ts";
import { type RestoreTestRun, testRestores } from "../../../src/restore_test/restore_test.ts";
import { planTests } from "../../../src/setup/restore_test_setup.ts";
import { SimNode, type SimOptions } from "../../pve/mod.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";

export const RUN_ID = "0123456789abcdef0123456789abcdef";

/** An archive of VM 101 with one disk, and further lines in its configuration. */
export function archiveOf(lines: Readonly<Record<string, string>>): Uint8Array {
  const text = Object.entries({ name: "web", ...lines }).map(([key, value]) => `${key}: ${value}\n`).join("");
  const disk = "scsi0: local-lvm:vm-101-disk-0,size=64K\n#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n";
  return buildVma({
    configs: [{ name: "qemu-server.conf", data: text + disk }],
    devices: [{ name: "drive-scsi0", size: 65536 }],
    extents: [{ entries: [{ device: 1, cluster: 0, mask: 0xffff }] }],
  });
}

export interface Given {
  lines?: Readonly<Record<string, string>>;
  sim?: SimOptions;
  run?: Partial<RestoreTestRun>;
  /** Before the run begins; the guest under test will be 100. */
  before?: (sim: SimNode) => void;
  /** Hears the run's events. */
  listen?: (event: FlowEvent, sim: SimNode) => void;
}

/** What a test saw of a run. */
export interface Tested {
  guest: TestedGuest;
  outcome: string;
  sim: SimNode;
  /** The configuration of the guest under test, right when its start was asked for. */
  started: Record<string, string> | undefined;
  verbs: string[];
}

/** Tests the restore of one VM, and gives `look` what came of it. */
export async function tested(given: Given, look: (tested: Tested) => void | Promise<void>): Promise<void> {
  await using sim = await SimNode.create(given.sim);
  const nodes = await simNodes(sim);
  const bytes = archiveOf(given.lines ?? {});
  const name = "vzdump-qemu-101-2026_01_31-12_00_00.vma";
  const archive: StoredArchive = {
    name,
    kind: "qemu",
    vmid: 101,
    bytes: bytes.byteLength,
    taken: new Date(0),
  };
  const from = {
    source: { open: () => Promise.resolve(bytesSource(bytes)) },
    decoder: () => Promise.reject(new Error("the test has no decoder")),
  };
  given.before?.(sim);
  let started: Record<string, string> | undefined;
  const options = { node: undefined, storage: undefined, dump_dir: sim.dumpDir };
  const { tasks } = await planTests(nodes, [archive], options, from);
  const report = await testRestores(tasks, {
    nodes,
    ...from,
    runId: RUN_ID,
    dumpDir: sim.dumpDir,
    timeout: 2,
    now: () => new Date(),
    stop: new AbortController().signal,
    tell: () => Promise.resolve(),
    ...given.run,
    listen: (event) => {
      if (event.type === "phase" && event.text.startsWith("starting")) started = sim.guest(100)?.entries;
      given.listen?.(event, sim);
    },
  });
  const guest = report.guests[0];
  assert.ok(guest);
  const verbs = sim.calls().filter(({ tool }) => tool === "qm" || tool === "qmrestore")
    .map(({ tool, argv }) => tool === "qm" ? `${argv[0]}` : tool);
  await look({ guest, outcome: report.outcome, sim, started, verbs });
  assert.deepEqual(await namesIn(sim.dumpDir), [], "something was left in dump_dir");
}
