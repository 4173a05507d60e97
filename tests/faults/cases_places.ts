/** Full disks, strange names, many guests, several runs at once. */
import type { GuestSpec, SimOptions } from "../pve/mod.ts";
import type { FaultCase, FaultGroup, Verdict } from "./case.ts";
import { simulated, toolRuns } from "./troubles.ts";

const VM: SimOptions = { guests: [{ vmid: 101, name: "web" }] };
const PAIR: SimOptions = { guests: [{ vmid: 101 }, { vmid: 102, disks: [{ key: "scsi0", size: "2M" }] }] };
const ALL = ["backup", "--all", "--to", "STORE"];
const FILE = [...ALL, "--backup-method", "file"];
const good: Verdict = { outcome: "good" };
const failed = (says: RegExp): Verdict => ({ outcome: "failed", says });

const full: FaultCase[] = [
  {
    name: "vzdump's file does not fit",
    origin: "`vma_queue_write: write error - No space left on device`",
    node: PAIR,
    setUp: simulated(101, { noSpaceAfterBytes: 500_000 }),
    args: FILE,
    status: 3,
    report: { 101: failed(/No space left on device|Broken pipe/), 102: good },
    outcome: "that guest fails, nothing of it is left",
  },
  {
    name: "the dump directory is a tiny disk, dumps through files",
    origin: "`No space left on device`",
    node: VM,
    smallDisk: { at: "dump directory", size: 2 },
    args: FILE,
    status: 1,
    report: { 101: failed(/space/) },
    outcome: "the backup fails, nothing is left",
  },
  {
    name: "the dump directory is a tiny disk, dumps are streamed",
    origin: "only vzdump's log goes there",
    node: VM,
    smallDisk: { at: "dump directory", size: 2 },
    args: ALL,
    status: 0,
    report: { 101: good },
    outcome: "all are good",
  },
  {
    name: "the store is a tiny disk",
    origin: "max(5 %, 2 GiB) of a filesystem stay free",
    node: VM,
    smallDisk: { at: "store", size: 2 },
    args: ALL,
    status: 1,
    report: { 101: failed(/free/) },
    outcome: "the backup fails, nothing is left",
  },
  {
    name: "TMPDIR is a tiny disk",
    origin: "`No space left on device`",
    node: VM,
    smallDisk: { at: "temporary directory", size: 1 },
    args: ALL,
    status: 0,
    report: { 101: good },
    outcome: "all are good: nothing of ours goes there",
  },
  {
    name: "a restore has no room to stage the archive",
    origin: "`No space left on device`",
    node: VM,
    backedUp: [],
    smallDisk: { at: "dump directory", size: 2 },
    args: ["restore", "--from", "SNAPSHOT", "--all", "--force"],
    status: 1,
    report: { 101: failed(/Cannot stage the archive in ".*": it needs \d+ MiB more/) },
    outcome: "the restore fails before the guest is stopped",
  },
  {
    name: "a restore runs with a tiny TMPDIR",
    origin: "`No space left on device`",
    node: VM,
    backedUp: [],
    smallDisk: { at: "temporary directory", size: 1 },
    args: ["restore", "--from", "SNAPSHOT", "--all", "--force"],
    status: 0,
    report: { 101: good },
    outcome: "restored",
  },
];

const NAMES: Readonly<Record<string, string>> = {
  "spaces": "my web server",
  "quotes": `it's "web" \`id\` $(id)`,
  "an encoded newline": "web%0Aserver: 1",
  "umlauts": "größe-äöü",
  "right-to-left text": "\u202eאבג\u202c-web",
  "200 characters": "n".repeat(200),
  "control characters": "web\u001b[2J\u0007",
};
const small = [{ key: "scsi0", size: "1M" }];
const named = (kind: "qemu" | "lxc", first: number): GuestSpec[] =>
  Object.values(NAMES).map((name, index) => ({
    vmid: first + index,
    kind,
    name,
    ...(kind === "qemu" ? { disks: small } : {}),
  }));
const VMS = { guests: named("qemu", 101) };
const all = (from: number, count: number): Record<number, Verdict> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [from + index, good]));
const count = Object.keys(NAMES).length;

const names: FaultCase[] = [
  {
    name: `names of VMs with ${Object.keys(NAMES).join(", ")}: backup`,
    origin: "Proxmox allows host names; a configuration that was edited by hand may hold anything",
    node: VMS,
    args: ALL,
    status: 0,
    report: all(101, count),
    outcome: "all are good; names reach no shell and no file name",
  },
  {
    name: "the same names: restore",
    origin: "as above",
    node: VMS,
    backedUp: [],
    args: ["restore", "--from", "SNAPSHOT", "--vmid", "101-103,105", "--force"],
    status: 0,
    report: { 101: good, 102: good, 103: good, 105: good },
    outcome: "restored",
  },
  {
    name: "500 guests in the inventory",
    origin: "`pvesh get /cluster/resources`",
    node: { guests: Array.from({ length: 500 }, (_, index) => ({ vmid: 101 + index, disks: small })) },
    args: ["backup", "--vmid", "101,350,600", "--to", "STORE"],
    status: 0,
    report: { 101: good, 350: good, 600: good },
    outcome: "all that were asked for are good",
  },
];

const several: FaultCase[] = [
  {
    name: "two runs at once on one node and into one store",
    origin: "one vzdump per node: `trying to get global lock - waiting...`",
    node: PAIR,
    args: ["backup", "--vmid", "101", "--to", "STORE"],
    setUp: simulated(101, { delayMs: 1500 }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "vzdump");
      const other = await bed.run(["backup", "--vmid", "102", "--to", bed.store]);
      if (other.status !== 0) throw new Error(other.stderr);
      const verified = await bed.run(["verify", "--from", bed.store, "--vmid", "102"]);
      if (verified.status !== 0) throw new Error(verified.stdout + verified.stderr);
      removeSnapshotOf(bed.store, 102);
    },
    status: 0,
    report: { 101: good },
    outcome: "both are good, each in a snapshot of its own",
  },
  {
    name: "a cleanup during a backup",
    origin: "the run is at work",
    node: VM,
    args: ALL,
    setUp: simulated(101, { delayMs: 1500 }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "vzdump");
      const args = ["cleanup", "--yes", "--unlock", "--store", bed.store, "--dump-dir", bed.node.dumpDir];
      const { status, stdout } = await bed.run(args);
      if (status !== 0 || !/its run is at work/.test(stdout)) throw new Error(stdout);
    },
    status: 0,
    report: { 101: good },
    outcome: "cleanup leaves it alone; all are good",
  },
];

/** Removes the snapshot that holds a guest, after it was looked at. */
function removeSnapshotOf(store: string, vmid: number): void {
  for (const { name, isDirectory } of Deno.readDirSync(store)) {
    if (!isDirectory) continue;
    const names = [...Deno.readDirSync(`${store}/${name}`)].map((entry) => entry.name);
    if (names.some((entry) => entry.startsWith(`vzdump-qemu-${vmid}-`) && !entry.endsWith(".part"))) {
      Deno.removeSync(`${store}/${name}`, { recursive: true });
    }
  }
}

export const FULL_DISKS: FaultGroup = { title: "Full disks", cases: full };
export const STRANGE_NAMES: FaultGroup = { title: "Names and numbers", cases: names };
export const SEVERAL_RUNS: FaultGroup = { title: "Several runs at once", cases: several };
