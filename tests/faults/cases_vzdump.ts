/** Faults of vzdump and of the node it runs on, one guest of several. */
import type { SimOptions } from "../pve/mod.ts";
import { eventually, type FaultCase, type FaultGroup, type Verdict } from "./case.ts";
import { holdLock, simulated, toolRuns } from "./troubles.ts";

const GUESTS: SimOptions = {
  guests: [{ vmid: 101, name: "web" }, { vmid: 102, name: "db", disks: [{ key: "scsi0", size: "2M" }] }, {
    vmid: 105,
    kind: "lxc",
    name: "mail",
  }],
};
const VM: SimOptions = { guests: GUESTS.guests!.slice(0, 1) };
const ALL = ["backup", "--all", "--to", "STORE"];
const PLAIN = [...ALL, "--backup-compression", "0"];
const good: Verdict = { outcome: "good" };
const failed = (says: RegExp): Verdict => ({ outcome: "failed", says });
const PAIR: SimOptions = { guests: GUESTS.guests!.slice(0, 2) };
const CONTAINER: SimOptions = { guests: GUESTS.guests!.slice(1) };
const others = { 102: good };

const OTHERS_GOOD = "that guest fails, the others are good";

/** Only guest 101 has the fault. */
function of101(
  name: string,
  origin: string,
  faults: Parameters<typeof simulated>[1],
  says: RegExp,
): FaultCase {
  return {
    name,
    origin,
    node: PAIR,
    setUp: simulated(101, faults),
    args: PLAIN,
    status: 3,
    report: { 101: failed(says), ...others },
    outcome: OTHERS_GOOD,
  };
}

const endings: FaultCase[] = [
  of101(
    "vzdump fails before the first byte",
    "`ERROR: Backup of VM 101 failed - …`, `job errors`, status 255",
    { failAtStart: "unable to open file" },
    /^Cannot back up VM 101: unable to open file$/,
  ),
  of101(
    "vzdump fails in the middle of the stream",
    "a partial archive on stdout, then status 255; nothing in the stream marks it",
    { failAfterBytes: 1_000_000 },
    /^Cannot back up VM 101: /,
  ),
  of101(
    "vzdump fails after the last byte",
    "a whole archive on stdout, then status 255",
    { failAfterLastByte: true },
    /job failed with err -5 - Input\/output error/,
  ),
  of101(
    "vzdump ends well without a byte",
    "*nothing* is said, status 0: so it does for a guest of another node",
    { emptyStream: true },
    /vzdump ended well without a byte/,
  ),
  ...[1, 4095, 600_000].map((bytes) =>
    of101(
      `the stream ends after ${bytes} ${bytes === 1 ? "byte" : "bytes"}, status 0`,
      "the stream is cut, and the tool ends well",
      { cutAtBytes: bytes },
      /vzdump wrote no whole archive/,
    )
  ),
  of101(
    "a VM's dump is a tar",
    "wrong magic, status 0",
    { wrongKind: true },
    /vzdump wrote no whole archive/,
  ),
  ...[0, 40, 12_300].map((at) =>
    of101(
      `byte ${at} of the VMA header is inverted`,
      "the header's md5 does not fit, status 0",
      { flipByteAt: at },
      /vzdump wrote no whole archive/,
    )
  ),
  {
    ...of101("the dump of a container is cut", "status 0", {}, /./),
    node: CONTAINER,
    setUp: simulated(105, { cutAtBytes: 10_240 }),
    report: { 102: good, 105: failed(/vzdump wrote no whole archive/) },
  },
  {
    ...of101("a container's dump is a VMA", "wrong magic, status 0", {}, /./),
    node: CONTAINER,
    setUp: simulated(105, { wrongKind: true }),
    report: { 102: good, 105: failed(/vzdump wrote no whole archive/) },
  },
  ...["zstd", "gzip", "lzo"].map((compression): FaultCase => ({
    ...of101(
      `a ${compression} stream ends early, status 0`,
      "the compressor's output is cut",
      { cutAtBytes: 300_000 },
      /vzdump wrote no whole archive/,
    ),
    args: [...ALL, "--backup-compression", compression],
  })),
  {
    ...of101("a bit of a zstd stream is flipped", "its own checksum does not fit", {}, /./),
    setUp: simulated(101, { flipByteAt: 300_000 }),
    args: ALL,
    status: 0,
    report: { 101: good, ...others },
    verify: 5,
    outcome:
      "called good, `checked: frames`: zstd is not decompressed at a backup; `verify` and `restore` find it",
  },
];

const refusals: FaultCase[] = [
  {
    name: "a guest is asked for that does not exist",
    origin: "`unable to find VM '999'`",
    node: VM,
    args: ["backup", "--vmid", "101,999", "--to", "STORE"],
    status: 3,
    report: { 101: good, 999: failed(/no guest has this vmid/) },
    outcome: OTHERS_GOOD,
  },
  {
    name: "only guests are asked for that do not exist",
    origin: "`unable to find VM '999'`",
    node: VM,
    args: ["backup", "--vmid", "999", "--to", "STORE"],
    status: 1,
    report: { 999: failed(/no guest has this vmid/) },
    outcome: "the backup fails",
  },
  {
    name: "a guest is locked",
    origin: "`VM is locked (snapshot)`",
    node: PAIR,
    setUp: (bed) => bed.node.setLock(101, "snapshot"),
    args: ALL,
    status: 3,
    report: { 101: failed(/locked \(snapshot\)/), ...others },
    guests: { 101: { lock: "snapshot" } },
    outcome: "that guest fails and keeps its lock, the others are good",
  },
  {
    name: "a guest vanishes after it was listed",
    origin: "`unable to find VM '102'`",
    node: PAIR,
    setUp: simulated(101, { delayMs: 2000 }),
    args: ALL,
    meanwhile: async (bed) => {
      await toolRuns(bed, "vzdump");
      bed.node.destroyGuest(102);
    },
    status: 3,
    report: { 101: good, 102: failed(/unable to find VM '102'/) },
    guests: { 102: { status: "gone" } },
    outcome: OTHERS_GOOD,
  },
  {
    name: "another vzdump runs for longer than lockwait",
    origin: "`can't acquire lock '/var/run/vzdump.lock' - got timeout`",
    node: VM,
    setUp: (bed) => holdLock(bed),
    args: [...ALL, "--lockwait", "0"],
    status: 1,
    report: { 101: failed(/can't acquire lock '\/var\/run\/vzdump.lock'/) },
    outcome: "the backup fails and leaves the other vzdump alone",
  },
  {
    name: "another vzdump runs for a while",
    origin: "`trying to get global lock - waiting...`",
    node: VM,
    setUp: (bed) => {
      const held = holdLock(bed);
      setTimeout(() => held[Symbol.dispose](), 2500);
      return held;
    },
    args: ALL,
    status: 0,
    report: { 101: good },
    outcome: "it waits; all are good",
  },
  {
    name: "the cluster has lost its quorum",
    origin: "`cluster not ready - no quorum?`",
    node: VM,
    setUp: (bed) => bed.node.change((state) => void (state.quorate = false)),
    args: ALL,
    status: 1,
    report: { 101: failed(/no quorum/) },
    outcome: "the backup fails",
  },
  {
    name: "an HA guest is to be stopped for its backup",
    origin: "`Cannot execute a backup with stop mode on a HA managed and enabled Service.`",
    node: { guests: [{ vmid: 101, ha: "started" }, { vmid: 102 }] },
    args: [...ALL, "--backup-mode", "stop"],
    status: 3,
    report: { 101: failed(/stop mode on a HA managed/), 102: good },
    outcome: OTHERS_GOOD,
  },
  {
    name: "a snapshot of a container is still mounted",
    origin: "`mount point '/mnt/vzsnap0' not empty`",
    node: { ...CONTAINER, knobs: { staleSnapshotMount: true } },
    args: ALL,
    status: 3,
    report: { 102: good, 105: failed(/mount point '\/mnt\/vzsnap0' not empty/) },
    outcome: OTHERS_GOOD,
  },
  {
    name: "a program that vzdump needs is missing",
    origin: "`unable to find command 'cstream'`",
    node: { ...VM, knobs: { missingCommands: ["cstream"] } },
    args: ALL,
    status: 1,
    report: { 101: failed(/unable to find command 'cstream'/) },
    outcome: "the backup fails",
  },
  {
    name: "we are not root",
    origin: "`Unable to load access control list: Unknown error -1`",
    node: { ...VM, knobs: { requireRoot: true } },
    isUser: true,
    args: ALL,
    status: 4,
    says: /root/,
    outcome: "refused before anything is begun",
  },
  {
    name: "the cluster's file system does not run",
    origin: "`ipcc_send_rec[1] failed: Connection refused`",
    node: { ...VM, knobs: { clusterDown: true } },
    args: ALL,
    status: 4,
    says: /ipcc_send_rec|Connection refused/,
    outcome: "refused before anything is begun",
  },
];

const settings: FaultCase[] = [
  ...Object.entries({
    "names a storage": "storage: nowhere",
    "names a directory that does not exist": "dumpdir: /nonexistent",
    "prunes": "prune-backups: keep-last=1\nremove: 1",
    "has a retention limit and may not prune": "prune-backups: keep-last=1\nremove: 0",
    "asks for another compression and mode": "compress: gzip\nmode: stop\nstdexcludes: 0",
  }).map(([what, conf]): FaultCase => ({
    name: `vzdump.conf ${what}`,
    origin: `\`${conf.replaceAll("\n", "`, `")}\``,
    node: { guests: [{ vmid: 101 }, { vmid: 105, kind: "lxc" }] },
    setUp: (bed) => bed.node.setVzdumpConf(`${conf}\n`),
    args: ALL,
    status: 0,
    report: { 101: good, 105: good },
    outcome: "all are good, and nothing of the user's is pruned",
  })),
  {
    name: "the storage `local` takes no backups",
    origin: "`can't use storage 'local' for backups - wrong content type`",
    node: { ...VM, storages: [{ id: "local", type: "dir", content: "iso" }] },
    args: ALL,
    status: 0,
    report: { 101: good },
    outcome: "all are good: our dumps do not go by a storage",
  },
  {
    name: "the storage under the target is not online",
    origin: "`storage 'nas' is not online`",
    node: { ...VM, storages: [{ id: "nas", type: "nfs", content: "backup", active: false }] },
    args: ["backup", "--all", "--to", "NODE/storage/nas/ours"],
    status: 2,
    says: /storage "nas"/,
    outcome: "refused before anything is begun: nothing goes to the disk below the mount",
  },
  {
    name: "the dump directory does not exist",
    origin: "`dumpdir '/x' does not exist`",
    node: VM,
    args: [...ALL, "--dump-dir", "NODE/missing"],
    status: 2,
    says: /NODE\/missing|missing" .*does not exist|--dump-dir/,
    outcome: "refused before anything is begun",
  },
  {
    name: "a hook script of vzdump.conf is missing",
    origin: "`Error: The hook script '/nonexistent' does not exist.`",
    node: VM,
    setUp: (bed) => bed.node.setVzdumpConf("script: /nonexistent\n"),
    args: ALL,
    status: 1,
    report: { 101: failed(/hook script '\/nonexistent' does not exist/) },
    outcome: "the backup fails",
  },
];

const logs: FaultCase[] = [
  { what: "100 MB of log", faults: { hugeLogBytes: 100_000_000 } },
  { what: "binary garbage without a newline", faults: { binaryLog: true } },
  { what: "one line of 20 MB", faults: { logLineBytes: 20_000_000 } },
].map(({ what, faults }): FaultCase => ({
  name: `vzdump prints ${what}`,
  origin: "its log is on the same channel as its errors",
  node: VM,
  setUp: simulated(101, faults),
  args: PLAIN,
  status: 0,
  report: { 101: good },
  outcome: "all are good; the report keeps the last of the log",
}));
logs.push(
  {
    name: "vzdump ends well with a warning",
    origin: "`WARN: …`, status 0",
    node: VM,
    setUp: simulated(101, { warning: "no snapshot of this" }),
    args: ALL,
    status: 0,
    says: /Guest 101: warning: no snapshot of this/,
    report: { 101: { outcome: "good", says: /^no snapshot of this$/ } },
    outcome: "good, with the warning in the report",
  },
  {
    name: "every tool complains about the locale",
    origin: "`perl: warning: Setting locale failed.`",
    node: { ...GUESTS, knobs: { localeWarnings: true } },
    args: ALL,
    status: 0,
    report: { 101: good, 102: good, 105: good },
    outcome: "all are good",
  },
);

const BIG = [{ key: "scsi0", size: "64M", synthetic: true }];
const SLOW = { guests: [{ vmid: 101, disks: BIG }, { vmid: 102 }] };

const interruptions: FaultCase[] = [
  ...[0, 5_000_000].map((bytes): FaultCase => ({
    name: `vzdump hangs ${bytes === 0 ? "before the first byte" : "in the middle"}, and we are terminated`,
    origin: "no byte, no end",
    node: SLOW,
    setUp: simulated(101, { hangAfterBytes: bytes }),
    args: PLAIN,
    meanwhile: async (bed, { child }) => {
      await eventually("101 is locked", () => bed.node.guest(101)?.lock === "backup");
      child.kill("SIGTERM");
    },
    status: 143,
    report: { 101: { outcome: "failed" }, 102: { outcome: "not-started" } },
    outcome: "vzdump is ended in an orderly way, its lock is freed",
  })),
  {
    name: "somebody stops vzdump",
    origin: "`vzdump --stop`: `interrupted by signal`",
    node: SLOW,
    setUp: simulated(101, { hangAfterBytes: 5_000_000 }),
    args: PLAIN,
    meanwhile: async (bed) => {
      await eventually("101 is locked", () => bed.node.guest(101)?.lock === "backup");
      for (const { pid } of bed.node.processes()) Deno.kill(pid, "SIGTERM");
    },
    status: 3,
    report: { 101: failed(/interrupted by signal/), 102: good },
    outcome: OTHERS_GOOD,
  },
  {
    name: "the kernel kills vzdump's worker",
    origin: "out of memory: signal 9, no word in the log",
    node: SLOW,
    setUp: simulated(101, { hangAfterBytes: 5_000_000 }),
    args: PLAIN,
    meanwhile: async (bed) => {
      await eventually("101 is locked", () => bed.node.guest(101)?.lock === "backup");
      for (const { pid } of bed.node.processes()) Deno.kill(-pid, "SIGKILL");
    },
    status: 3,
    report: { 101: { outcome: "failed" }, 102: good },
    guests: { 101: { lock: "backup" } },
    outcome:
      "that guest fails and stays locked, which nobody but its administrator may change; the others are good",
  },
];

export const VZDUMP_ENDINGS: FaultGroup = { title: "How vzdump ends", cases: endings };
export const VZDUMP_REFUSALS: FaultGroup = { title: "What vzdump refuses", cases: refusals };
export const VZDUMP_SETTINGS: FaultGroup = { title: "Settings of the node", cases: settings };
export const VZDUMP_LOGS: FaultGroup = { title: "What vzdump prints", cases: logs };
export const VZDUMP_INTERRUPTIONS: FaultGroup = { title: "Dumps that are interrupted", cases: interruptions };
