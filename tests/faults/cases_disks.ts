/** Disks that do not keep what they took, or do not give it back. */
import type { SimOptions } from "../pve/mod.ts";
import type { FaultCase, FaultGroup, Verdict } from "./case.ts";

const LARGE = [{ key: "scsi0", size: "16M" }];
const VM: SimOptions = { guests: [{ vmid: 101, name: "web", disks: LARGE }] };
const PAIR: SimOptions = {
  guests: [{ vmid: 101, disks: LARGE }, { vmid: 102, disks: [{ key: "scsi0", size: "2M" }] }],
};
/** Their archives have less than 70 KiB; the report has the last 64 KiB of each log. */
const CONTAINERS = [105, 106, 107];
const ALL = ["backup", "--all", "--to", "STORE"];
const FILE = [...ALL, "--backup-method", "file"];
const RESTORE = ["restore", "--from", "SNAPSHOT", "--all", "--force"];
const good: Verdict = { outcome: "good" };
const failed = (says: RegExp): Verdict => ({ outcome: "failed", says });

const cases: FaultCase[] = [
  {
    name: "the store's disk loses what was written, and tells who syncs",
    origin: "`fsync`: `Input/output error`",
    node: PAIR,
    failingDisk: { at: "store", takes: 2048, tells: "who syncs" },
    args: ALL,
    status: 3,
    report: { 101: failed(/Cannot write ".*": Input\/output error/), 102: good },
    outcome:
      "that guest fails, nothing of it is left; the others are good, also when the disk is mounted anew",
  },
  {
    name: "the store's disk refuses what is written",
    origin: "`write`: `Input/output error`",
    node: PAIR,
    failingDisk: { at: "store", takes: 2048, tells: "who writes" },
    args: ALL,
    status: 3,
    report: { 101: failed(/Cannot write ".*": Input\/output error/), 102: good },
    outcome: "that guest fails, nothing of it is left, the others are good",
  },
  {
    name: "the store's disk keeps none of the archives",
    origin: "`fsync`: `Input/output error`",
    node: { guests: [{ vmid: 101, disks: LARGE }, { vmid: 102, disks: LARGE }] },
    failingDisk: { at: "store", takes: 1024, tells: "who syncs" },
    args: ALL,
    status: 1,
    report: { 101: failed(/Input\/output error/), 102: failed(/Input\/output error/) },
    outcome: "the backup fails, nothing is left but its report",
  },
  {
    name: "the store's disk keeps nothing",
    origin: "`fsync`: `Input/output error`",
    node: VM,
    failingDisk: { at: "store", takes: 0, tells: "who syncs" },
    args: ALL,
    status: 1,
    says: /Cannot write ".*manifest.json": Input\/output error/,
    outcome: "the backup fails before anything is dumped, nothing is left",
  },
  {
    name: "the dump directory's disk refuses what vzdump writes",
    origin: "`vma_queue_write: write error - Input/output error`",
    node: PAIR,
    failingDisk: { at: "dump directory", takes: 2048, tells: "who writes" },
    args: FILE,
    status: 3,
    report: { 101: failed(/Input\/output error|Broken pipe/), 102: good },
    outcome: "that guest fails, nothing of it is left, the others are good",
  },
  {
    name: "the dump directory's disk loses the archive that is staged for a restore",
    origin: "`fsync`: `Input/output error`",
    node: VM,
    backedUp: [],
    failingDisk: { at: "dump directory", takes: 1024, tells: "who syncs" },
    args: RESTORE,
    status: 1,
    report: {
      101: failed(/^Cannot restore VM 101: Cannot write ".*": Input\/output error.*; nothing was changed/),
    },
    outcome: "the restore fails before the guest is stopped",
  },
  {
    name: "the archive cannot be read to its end",
    origin: "`read`: `Input/output error`",
    // Larger than what is read of it for the plan.
    node: { guests: [{ vmid: 101, name: "web", disks: [{ key: "scsi0", size: "32M", synthetic: true }] }] },
    backedUp: ["--backup-compression", "0"],
    unreadable: true,
    args: RESTORE,
    status: 5,
    report: { 101: failed(/Cannot read ".*": Input\/output error/) },
    outcome: "refused; the guest is untouched",
  },
  {
    name: "the store's filesystem takes no files of the archive's size",
    origin: "`File too large`: FAT32 ends at 4 GiB",
    node: PAIR,
    largestFile: 2048,
    args: ALL,
    status: 3,
    report: { 101: failed(/Cannot write ".*": File too large/), 102: good },
    outcome: "that guest fails, nothing of it is left, the others are good",
  },
  {
    name: "the store's filesystem takes the archives, but not the report",
    origin: "`File too large`",
    node: { guests: CONTAINERS.map((vmid) => ({ vmid, kind: "lxc" })) },
    setUp: (bed) => CONTAINERS.forEach((vmid) => bed.node.fault(vmid, { hugeLogBytes: 70_000 })),
    largestFile: 128,
    args: ALL,
    status: 3,
    says: /Cannot write ".*report.json": File too large.*the archives called good are whole/,
    report: { 105: good, 106: good, 107: good },
    incomplete: true,
    outcome: "status 3 says so; the archives can be restored, the snapshot is listed as incomplete",
  },
];

export const FAILING_DISKS: FaultGroup = { title: "Failing disks", cases };
