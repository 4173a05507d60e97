/** Clocks that are changed for the summer, and clocks that are wrong. */
import type { SimOptions } from "../pve/mod.ts";
import type { Bed } from "../cli/harness.ts";
import type { FaultCase, FaultGroup, Verdict } from "./case.ts";
import { simulated, snapshotOf } from "./troubles.ts";

const VM: SimOptions = { guests: [{ vmid: 101, name: "web" }] };
const ALL = ["backup", "--all", "--to", "STORE"];
const good: Verdict = { outcome: "good" };

const clocks: FaultCase[] = [
  {
    name: "two archives of the hour that comes twice",
    origin: "names have the node's local time without a zone",
    node: VM,
    backedUp: [],
    setUp: underNames("2025_10_26-02_05_00", "2025_10_26-02_55_00"),
    env: { TZ: "Europe/Berlin" },
    args: ["restore", "--from", "NODE/plain", "--all", "--force"],
    status: 0,
    report: { 101: good },
    outcome: "one of them is restored: the later by its name, which need not be the later one",
  },
  {
    name: "an archive of the hour that does not exist",
    origin: "a clock that was set late",
    node: VM,
    backedUp: [],
    setUp: underNames("2025_03_30-02_30_00"),
    env: { TZ: "Europe/Berlin" },
    args: ["restore", "--from", "NODE/plain", "--all", "--force"],
    status: 0,
    report: { 101: good },
    outcome: "restored",
  },
  {
    name: "an archive with a date that does not exist",
    origin: "a file that was renamed by hand",
    node: VM,
    backedUp: [],
    setUp: underNames("2025_13_45-99_99_99"),
    args: ["restore", "--from", "NODE/plain", "--all", "--force"],
    status: 0,
    report: { 101: good },
    outcome: "restored: the date only decides which is the newest",
  },
];

const JUMPS = {
  "set back by an hour": "-1h",
  "set forward by a day": "+1d",
  "set forward by ten years": "+10y",
};
const RESTORE = ["restore", "--from", "SNAPSHOT", "--all", "--force"];

for (const [what, by] of Object.entries(JUMPS)) {
  clocks.push(
    {
      name: `the clock is ${what} during a backup`,
      origin: "a time server is found, or somebody types",
      node: VM,
      setUp: simulated(101, { delayMs: 1000 }),
      clock: { by, during: "vzdump" },
      args: ALL,
      status: 0,
      report: { 101: good },
      outcome: "good; the times in the report are those of the clock that the run began with",
    },
    {
      name: `the clock is ${what} during a restore`,
      origin: "as above",
      node: VM,
      backedUp: [],
      setUp: simulated(101, { startMs: 1000 }),
      clock: { by, during: "qmrestore" },
      args: RESTORE,
      status: 0,
      report: { 101: good },
      outcome: "restored and started again: no time limit goes by the clock",
    },
  );
}

clocks.push(
  {
    name: "a backup after the clock was set back",
    origin: "the snapshot before carries a later time",
    node: VM,
    backedUp: [],
    clock: { by: "-1h" },
    args: ALL,
    status: 0,
    says: /Snapshot ".*" in ".*" is of a later time than this backup: .*clock/,
    report: { 101: good },
    outcome: "good, and told: the snapshot with the later name is still taken for the newest",
  },
  {
    name: "a restore from a store with a snapshot of the future",
    origin: "the clock was wrong at that backup",
    node: VM,
    backedUp: [],
    setUp: ofTheFuture,
    args: ["restore", "--from", "STORE", "--vmid", "101", "--force"],
    meanwhile: async (bed) => {
      const { status, stdout } = await bed.run(["list", "--from", bed.store]);
      if (status !== 0 || !/ in \d+ d .* 2999-01-01T/.test(stdout)) throw new Error(stdout);
    },
    status: 0,
    report: { 101: good },
    outcome: "it is restored, being the newest by its name; `list` shows its age as `in N d`",
  },
);

/** A copy of the snapshot with a name of the future, in which alone the archive is whole. */
function ofTheFuture(bed: Bed): void {
  const { path, names } = snapshotOf(bed);
  const future = `${bed.store}/2999-01-01T00-00-00Z-0123abcd`;
  Deno.mkdirSync(future);
  for (const name of names) {
    const isArchive = name.endsWith(".vma.zst");
    const renamed = name.replace(/^(vzdump-qemu-101-)[\d_-]+/, "$12999_01_01-00_00_00");
    Deno.copyFileSync(`${path}/${name}`, `${future}/${renamed}`);
    if (isArchive) Deno.writeTextFileSync(`${path}/${name}`, "damaged meanwhile");
  }
}

/** The one archive of 101 under names that vzdump may give it in the nights when the clock changes. */
function underNames(...stamps: string[]): NonNullable<FaultCase["setUp"]> {
  return (bed) => {
    const { path, names } = snapshotOf(bed);
    const name = names.find((entry) => entry.endsWith(".vma.zst"));
    Deno.mkdirSync(`${bed.node.dir}/plain`);
    for (const stamp of stamps) {
      Deno.copyFileSync(`${path}/${name}`, `${bed.node.dir}/plain/vzdump-qemu-101-${stamp}.vma.zst`);
    }
  };
}

export const CLOCKS: FaultGroup = { title: "Clocks", cases: clocks };
