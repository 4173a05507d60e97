/** Faults of a restore that feeds the tool as the archive comes: the tool has begun before the end was seen. */
import type { Bed } from "../cli/harness.ts";
import type { Faults, SimOptions } from "../pve/mod.ts";
import { eventually, type FaultCase, type FaultGroup, type Verdict } from "./case.ts";
import { snapshotOf, toolRuns } from "./troubles.ts";

const VM: SimOptions = { guests: [{ vmid: 101, name: "web", disks: [{ key: "scsi0", size: "8M" }] }] };
const CT: SimOptions = { guests: [{ vmid: 105, kind: "lxc", name: "mail" }] };
const STREAM = ["restore", "--from", "SNAPSHOT", "--all", "--restore-method", "stream"];
const failed = (says: RegExp): Verdict => ({ outcome: "failed", says });

/** A stream to where nobody stands; `vmid` is the guest's, which was destroyed after its backup. */
function streamed(name: string, origin: string, vmid: 101 | 105, row: Partial<FaultCase>): FaultCase {
  return {
    name,
    origin,
    node: vmid === 101 ? VM : CT,
    backedUp: [],
    setUp: gone(vmid),
    args: STREAM,
    status: 1,
    guests: { [vmid]: { status: "gone" } },
    outcome: "the restore fails; the tool is killed, and what it left is removed",
    ...row,
  };
}

function gone(vmid: number, faults: Faults = {}): (bed: Bed) => void {
  return (bed) => {
    bed.node.destroyGuest(vmid);
    bed.node.fault(vmid, faults);
  };
}

/** Changes the stored archive of a guest that is gone. */
function changed(vmid: number, change: (archive: Uint8Array) => Uint8Array): (bed: Bed) => void {
  return (bed) => {
    bed.node.destroyGuest(vmid);
    const { path, names } = snapshotOf(bed);
    const archive = `${path}/${names.find((name) => /\.(vma|tar)(\.zst)?$/.test(name))}`;
    Deno.writeFileSync(archive, change(Deno.readFileSync(archive)));
  };
}

const hasWorker = ({ node }: Bed, vmid: number) =>
  node.guest(vmid)?.lock === "create" && node.processes().length > 0;

const cutTail = (archive: Uint8Array) => archive.slice(0, -4096);
const flipMiddle = (archive: Uint8Array) => {
  const at = archive.length >> 1;
  return archive.with(at, archive[at]! ^ 1);
};

const cases: FaultCase[] = [
  streamed("a VM's archive is cut", "`short vma extent`", 101, {
    backedUp: ["--backup-compression", "0"],
    setUp: changed(101, cutTail),
    status: 5,
    report: { 101: failed(/cut|short|bytes/) },
  }),
  streamed("a container's archive lacks its end", "tar extracts it with status **0**", 105, {
    backedUp: ["--backup-compression", "0"],
    setUp: changed(105, (archive) => archive.slice(0, archive.length - 10_240)),
    status: 5,
    report: { 105: failed(/cut|end|bytes/) },
  }),
  streamed("a compressed archive is cut", "the decompressor fails", 101, {
    setUp: changed(101, (archive) => archive.slice(0, -9)),
    status: 5,
    report: { 101: failed(/cut|end|bytes/) },
  }),
  streamed("a bit in a VM's data is flipped", "no tool can notice: a VMA's data has no checksum", 101, {
    backedUp: ["--backup-compression", "0"],
    setUp: changed(101, flipMiddle),
    status: 5,
    report: { 101: failed(/sha256/) },
    outcome: "the recorded sha256 does not fit; the tool is killed, and what it left is removed",
  }),
  streamed("qmrestore fails in the middle", "`VM 101 state is NOT cleaned up.`", 101, {
    setUp: gone(101, { restoreFailsAfterDestroy: "no space left in pool" }),
    report: { 101: failed(/no space left in pool.*empty guest that it left behind was removed/) },
    outcome: "the restore fails; the empty guest that qmrestore left is removed",
  }),
  streamed("pct restore fails in the middle", "new volumes and the configuration are removed", 105, {
    setUp: gone(105, { restoreFailsAfterDestroy: "mkfs failed" }),
    report: { 105: failed(/mkfs failed.*nothing was left behind/) },
    outcome: "the restore fails; nothing is left behind",
  }),
  streamed("the tool hangs, and we are terminated", "no end", 101, {
    setUp: gone(101, { restoreHangs: "after-destroy" }),
    meanwhile: async (bed, { child }) => {
      await eventually("its worker has begun", () => hasWorker(bed, 101));
      child.kill("SIGTERM");
    },
    status: 143,
    report: { 101: failed(/SIGTERM/) },
  }),
  streamed("the kernel kills the tool's worker", "out of memory: signal 9, `lock: create` stays", 101, {
    setUp: gone(101, { restoreHangs: "after-destroy" }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "qmrestore");
      await eventually("its worker has begun", () => hasWorker(bed, 101));
      for (const { pid } of bed.node.processes()) Deno.kill(-pid, "SIGKILL");
    },
    report: {
      101: failed(/an incomplete VM 101 was left behind, locked: .*"qm unlock 101 && qm destroy 101"/),
    },
    guests: { 101: { status: "stopped", changed: true, lock: "create" } },
    outcome: "the restore fails and says that the locked rest is there, and how it is removed",
  }),
  streamed(
    "somebody stands there, and only the stream was asked for",
    "the tool destroys before it reads",
    101,
    {
      setUp: () => {},
      says: /it is running on node "pve1"; pass --force/,
      guests: {},
      outcome: "refused before anything is begun; the guest is untouched",
    },
  ),
];

export const STREAMED_RESTORES: FaultGroup = { title: "Streamed restores", cases };
