/** Faults of the restore tools and of what a restore finds on the node. */
import type { SimOptions } from "../pve/mod.ts";
import { eventually, type FaultCase, type FaultGroup, type Verdict } from "./case.ts";
import { simulated, snapshotOf, toolRuns } from "./troubles.ts";

const VM: SimOptions = { guests: [{ vmid: 101, name: "web" }], pools: ["prod"] };
const CT: SimOptions = { guests: [{ vmid: 105, kind: "lxc", name: "mail" }], pools: ["prod"] };
const BOTH: SimOptions = { guests: [...VM.guests!, ...CT.guests!], pools: ["prod"] };
const RESTORE = ["restore", "--from", "SNAPSHOT", "--all"];
const REPLACE = [...RESTORE, "--force"];
const good: Verdict = { outcome: "good" };
const failed = (says: RegExp): Verdict => ({ outcome: "failed", says });
const NOTHING_CHANGED = "refused before anything is begun; the guest is untouched";

/** What the plan refuses. */
function refused(name: string, origin: string, says: RegExp, more: Partial<FaultCase> = {}): FaultCase {
  return {
    name,
    origin,
    node: VM,
    backedUp: [],
    args: REPLACE,
    status: 1,
    says,
    outcome: NOTHING_CHANGED,
    ...more,
  };
}

const plans: FaultCase[] = [
  refused(
    "the VM exists",
    "`VM 101 already exists on node 'pve1'`",
    /it is running on node "pve1"; pass --force/,
    {
      args: RESTORE,
    },
  ),
  refused("the container exists", "`CT 105 already exists on node 'pve1'`", /it is running on node "pve1"/, {
    node: CT,
    args: RESTORE,
  }),
  refused("the guest runs, and only stopped ones may be replaced", "`vm is running`", /running/, {
    args: [...RESTORE, "--if-exists", "replace-stopped"],
  }),
  refused(
    "the VM is protected",
    "`unable to restore VM 101 - - protection mode enabled`",
    /it is protected/,
    {
      setUp: (bed) => bed.node.setConfig(101, { protection: "1" }),
    },
  ),
  refused(
    "the container is protected",
    "`unable to restore CT 105 - protection mode enabled`",
    /it is protected/,
    {
      node: CT,
      setUp: (bed) => bed.node.setConfig(105, { protection: "1" }),
    },
  ),
  refused("the guest is locked", "`VM is locked (migrate)`", /it is locked \(migrate\)/, {
    setUp: (bed) => bed.node.setLock(101, "migrate"),
    guests: { 101: { lock: "migrate" } },
  }),
  refused(
    "the vmid belongs to a container",
    "`close (rename) atomic file … failed: File exists`",
    /belongs to CT 105/,
    {
      node: BOTH,
      args: ["restore", "--from", "SNAPSHOT", "--vmid", "101", "--force", "--newid", "105"],
    },
  ),
  refused(
    "a storage is asked for that does not exist",
    "`storage 'x' does not exist`",
    /storage "nowhere" does not exist/,
    {
      args: [...REPLACE, "--storage", "nowhere"],
    },
  ),
  refused("a storage is asked for that is disabled", "`storage 'x' is disabled`", /storage "slow"/, {
    node: { ...VM, storages: [{ id: "slow", enabled: false }] },
    args: [...REPLACE, "--storage", "slow"],
  }),
  refused(
    "a storage is asked for that is on other nodes only",
    "`storage 'x' is not available on node 'pve1'`",
    /storage "far"/,
    {
      node: { ...VM, storages: [{ id: "far", nodes: ["pve9"] }] },
      args: [...REPLACE, "--storage", "far"],
    },
  ),
  refused(
    "a container is to go to a storage without container directories",
    "`storage 'local' does not support container directories`",
    /storage "local" does not take containers/,
    { node: CT, args: [...REPLACE, "--storage", "local"] },
  ),
  refused(
    "a pool is asked for that does not exist",
    "`403 Permission check failed (pool 'x' does not exist)`",
    /pool "nopool" does not exist; there are prod/,
    { args: [...REPLACE, "--pool", "nopool"] },
  ),
  refused("the archive is missing", "`can't find file '/x'`", /Cannot read/, {
    args: ["restore", "--from", "NODE/vzdump-qemu-101-2025_01_31-12_00_00.vma", "--all", "--force"],
    status: 2,
  }),
  refused(
    "the archive's name is none that Proxmox knows",
    "`couldn't determine archive info from '/x'`",
    /its name is none of a vzdump archive/,
    {
      setUp: (bed) => Deno.writeTextFileSync(`${bed.node.dir}/web-server.vma`, "VMA"),
      args: ["restore", "--from", "NODE/web-server.vma", "--all", "--force"],
      status: 2,
    },
  ),
  refused(
    "a container's archive under the name of a VM's",
    "`file '…' does not look like a QemuServer vzdump backup`",
    /it is tar where vma is expected/,
    {
      node: BOTH,
      setUp: (bed) => {
        const { path, names } = snapshotOf(bed);
        const name = names.find((entry) => entry.endsWith(".tar.zst"));
        Deno.copyFileSync(`${path}/${name}`, `${bed.node.dir}/vzdump-qemu-101-2025_01_31-12_00_00.vma.zst`);
      },
      args: ["restore", "--from", "NODE/vzdump-qemu-101-2025_01_31-12_00_00.vma.zst", "--all", "--force"],
      status: 5,
      outcome: "refused; the guest is untouched",
    },
  ),
  refused(
    "the guest has a snapshot, which the archive does not hold",
    "`--force` drops snapshots",
    /--destroy-excluded/,
    {
      setUp: (bed) =>
        bed.node.change((state) => {
          state.guests[101]!.config += "[before]\ncores: 1\nsnaptime: 1700000000\n";
        }),
    },
  ),
];

/** The restore tool fails in its own words. */
function toolFails(name: string, origin: string, row: Partial<FaultCase>): FaultCase {
  return { name, origin, node: VM, backedUp: [], args: REPLACE, status: 1, outcome: "", ...row };
}

const INTACT = "the restore fails; the guest that stands there is whole and is started again";
const LOST = "the restore fails and says that the guest is lost; its configuration is in the report";

const tools: FaultCase[] = [
  toolFails("qmrestore fails before it destroys anything", "`cluster not ready - no quorum?`", {
    setUp: simulated(101, { restoreFailsBeforeDestroy: "storage 'x' does not exist" }),
    report: { 101: failed(/storage 'x' does not exist.*intact and was started again/) },
    outcome: INTACT,
  }),
  toolFails("pct restore fails before it destroys anything", "`unable to restore CT 105 - …`", {
    node: CT,
    setUp: simulated(105, { restoreFailsBeforeDestroy: "no space on storage" }),
    report: { 105: failed(/no space on storage.*intact and was started again/) },
    outcome: INTACT,
  }),
  toolFails(
    "qmrestore fails after it destroyed the disks",
    "`VM 101 state is NOT cleaned up.`, `memory: 128` is left",
    {
      setUp: simulated(101, { restoreFailsAfterDestroy: "no space left in pool" }),
      report: {
        101: failed(
          /no space left in pool.*the guest that stood there is lost.*configuration is in the report/,
        ),
      },
      guests: { 101: { status: "stopped", changed: true } },
      outcome: LOST,
    },
  ),
  toolFails(
    "pct restore fails after it destroyed the container",
    "new volumes and the configuration are removed",
    {
      node: CT,
      setUp: simulated(105, { restoreFailsAfterDestroy: "tar: Unexpected EOF in archive" }),
      report: { 105: failed(/Unexpected EOF.*the guest that stood there is lost/) },
      guests: { 105: { status: "gone" } },
      outcome: LOST,
    },
  ),
  toolFails("qmrestore of a new guest fails", "an empty configuration is left behind", {
    setUp: (bed) => {
      bed.node.destroyGuest(101);
      bed.node.fault(101, { restoreFailsAfterDestroy: "no space left in pool" });
    },
    report: { 101: failed(/no space left in pool.*empty guest that it left behind was removed/) },
    guests: { 101: { status: "gone" } },
    outcome: "the restore fails; the empty guest that qmrestore left is removed",
  }),
  toolFails("pct restore of a new guest fails", "nothing is left behind", {
    node: CT,
    setUp: (bed) => {
      bed.node.destroyGuest(105);
      bed.node.fault(105, { restoreFailsAfterDestroy: "mkfs failed" });
    },
    report: { 105: failed(/mkfs failed/) },
    guests: { 105: { status: "gone" } },
    outcome: "the restore fails; nothing is left behind",
  }),
  toolFails("the guest ignores its shutdown", "`VM quit/powerdown failed - got timeout`", {
    setUp: simulated(101, { ignoreShutdown: true }),
    args: [...REPLACE, "--shutdown-timeout", "1"],
    status: 0,
    report: { 101: good },
    outcome: "it is stopped hard, as --force says, and restored",
  }),
  toolFails("the guest does not start afterwards", "`start failed: …`", {
    setUp: simulated(101, { startFails: "bridge 'vmbr7' does not exist" }),
    status: 3,
    report: { 101: { outcome: "not-running", says: /is restored, but not running: .*vmbr7/ } },
    guests: { 101: { status: "stopped" } },
    outcome: "restored whole, said not to run, status 3",
  }),
  toolFails("the container stops by itself before it is shut down", "`CT 105 not running`", {
    node: CT,
    setUp: simulated(105, { shutdownMs: 800 }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "shutdown");
      bed.node.stopGuest(105);
    },
    status: 0,
    report: { 105: good },
    outcome: "restored and started again",
  }),
  toolFails("the kernel kills the restore tool's worker", "out of memory: signal 9, `lock: create` stays", {
    setUp: simulated(101, { restoreHangs: "after-destroy" }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "qmrestore");
      await eventually("its worker has begun", () => bed.node.guest(101)?.entries.memory === "128");
      for (const { pid } of bed.node.processes()) Deno.kill(-pid, "SIGKILL");
    },
    report: { 101: failed(/the guest that stood there is lost/) },
    guests: { 101: { status: "stopped", changed: true, lock: "create" } },
    outcome: LOST,
  }),
  toolFails("the guest changes between plan and restore", "somebody edits its configuration", {
    node: BOTH,
    setUp: simulated(101, { shutdownMs: 1500 }),
    meanwhile: async (bed) => {
      await toolRuns(bed, "shutdown");
      bed.node.setConfig(105, { memory: "2048" });
    },
    status: 3,
    report: {
      101: good,
      105: failed(/the configuration of the guest to replace has changed since the plan/),
    },
    outcome: "that guest is left alone, the other is restored",
  }),
  toolFails("another guest takes the vmid between plan and restore", "`VM 105 already exists`", {
    node: BOTH,
    setUp: (bed) => {
      bed.node.destroyGuest(105);
      bed.node.fault(101, { shutdownMs: 1500 });
    },
    meanwhile: async (bed) => {
      await toolRuns(bed, "shutdown");
      bed.node.addGuest({ vmid: 105, kind: "lxc", name: "mail" });
    },
    status: 3,
    report: { 101: good, 105: failed(/another guest has taken its vmid since the plan/) },
    outcome: "the newcomer is left alone, the other is restored",
  }),
  toolFails("the cluster has lost its quorum", "`cluster not ready - no quorum?`", {
    setUp: (bed) => bed.node.change((state) => void (state.quorate = false)),
    report: { 101: failed(/quorum/) },
    outcome: "the restore fails; the guest is whole",
  }),
  ...["7.0", "9.2"].map((release) =>
    toolFails(`Proxmox VE ${release}`, "`Unknown option: start`, `400 unable to parse option`", {
      node: { ...BOTH, release },
      status: 0,
      report: { 101: good, 105: good },
      outcome: "no option is passed that a release does not know: restored and started again",
    })
  ),
];

export const RESTORE_PLANS: FaultGroup = { title: "What a restore refuses", cases: plans };
export const RESTORE_TOOLS: FaultGroup = { title: "How a restore fails", cases: tools };
