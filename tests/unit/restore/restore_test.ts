import assert from "node:assert/strict";
import type { FlowEvent } from "../../../src/core/events.ts";
import type { PlannedRestore, RestoreSettings } from "../../../src/restore/plan.ts";
import type { RestoreReport } from "../../../src/restore/report.ts";
import { restore, type RestoreRun } from "../../../src/restore/restore.ts";
import { lookAt } from "../../../src/restore/standing.ts";
import { singleNode } from "../../../src/proxmox/nodes.ts";
import { listGuests } from "../../../src/proxmox/cluster.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { TestSource, type TestSourceOptions } from "../core/test_source.ts";
import { exits } from "../proxmox/node_stand_in.ts";
import { namesIn, withTempDir } from "../store/temp_dir.ts";
import { SmallNode } from "./small_node.ts";
import { around, planOf, storage, wish } from "./surroundings.ts";

const VMA = buildVma({
  configs: [{ name: "qemu-server.conf", data: "name: web\n#qmdump#map:scsi0:drive-scsi0:fast:raw:\n" }],
  devices: [{ name: "drive-scsi0", size: 65536 }],
  extents: [{ entries: [{ device: 1, cluster: 0, mask: 0xffff }] }],
});
const OLD = "name: web\nscsi0: fast:vm-101-disk-7,size=64K\n";

interface Given {
  bytes?: Uint8Array;
  source?: TestSourceOptions;
  settings?: Partial<RestoreSettings>;
  run?: Partial<RestoreRun>;
  /** Between the plan and the restore. */
  meanwhile?: () => void;
}

/** Plans the restore of VM 101 onto the node as it is, carries it out, and answers its entry of the report. */
async function restored(small: SmallNode, given: Given = {}) {
  return await withTempDir(async (dumpDir) => {
    const standing = await Promise.all(
      (await listGuests(small.node)).map((guest) => lookAt(small.node, guest)),
    );
    const disks = [{ key: "scsi0", size: 65536, storage: "fast" }];
    const one = wish("qemu", { disks });
    const archive = { ...one.archive, bytes: VMA.byteLength };
    const surroundings = around({ standing, storages: [storage("fast")] });
    const plan: PlannedRestore = planOf({ ...one, archive }, surroundings, {
      ifExists: "replace",
      ...given.settings,
    });
    given.meanwhile?.();
    const saved: RestoreReport[] = [];
    const events: FlowEvent[] = [];
    const report = await restore([plan], {
      nodes: singleNode(small.node),
      source: { open: () => Promise.resolve(new TestSource(given.bytes ?? VMA, given.source)) },
      decoder: () => Promise.reject(new Error("the test has no decoder")),
      runId: "0123",
      dumpDir,
      cleanup: true,
      shutdownTimeout: 60,
      now: () => new Date(0),
      listen: (event) => void events.push(event),
      stop: new AbortController().signal,
      save: (now) => {
        small.done.push("save");
        saved.push(structuredClone(now));
        return Promise.resolve();
      },
      ...given.run,
    });
    assert.deepEqual(await namesIn(dumpDir), [], "something was left in dump_dir");
    return { report, entry: report.guests[0]!, saved };
  });
}

function withVm(status: string, config = OLD): SmallNode {
  const small = new SmallNode();
  small.vms.set(101, { status, config });
  return small;
}

Deno.test("restore() creates a guest where nobody stands, without --force", async () => {
  const small = new SmallNode();
  const { report, entry } = await restored(small);
  assert.deepEqual([report.outcome, entry.outcome, entry.error, entry.bytes], [
    "good",
    "good",
    undefined,
    VMA.byteLength,
  ]);
  assert.deepEqual(small.done, ["save", "qmrestore 101", "save"]);
});

Deno.test("restore() keeps the old configuration before it stops and replaces, and starts as before", async () => {
  const small = withVm("running");
  const { entry, saved } = await restored(small);
  assert.equal(entry.outcome, "good");
  assert.deepEqual(small.done, [
    "save",
    "qm shutdown 101",
    "qmrestore 101 --force 1",
    "qm start 101",
    "save",
  ]);
  assert.deepEqual(saved[0]?.guests[0]?.replaced, { config: OLD, status: "running" });
});

Deno.test("restore() starts no guest that was stopped", async () => {
  const small = withVm("stopped");
  assert.equal((await restored(small)).entry.outcome, "good");
  assert.deepEqual(small.done, ["save", "qmrestore 101 --force 1", "save"]);
});

Deno.test("restore() touches nothing when the archive does not arrive whole", async () => {
  const flipped = { bytes: VMA.subarray(0, -1) };
  for (const given of [flipped, { bytes: new Uint8Array(9) }, { source: { failAt: 100 } }]) {
    const small = withVm("running");
    const { report, entry } = await restored(small, given);
    assert.deepEqual([report.outcome, entry.outcome], ["failed", "failed"]);
    assert.match(entry.error ?? "", /^Cannot restore VM 101: .*; nothing was changed$/);
    assert.deepEqual(small.done, ["save"]);
    assert.equal(small.vms.get(101)?.status, "running");
  }
});

Deno.test("restore() touches nothing when the old configuration cannot be kept", async () => {
  const small = withVm("running");
  const save = () => Promise.reject(new Error("No space left on device"));
  const { report, entry } = await restored(small, { run: { save } });
  assert.deepEqual([report.outcome, report.unsaved], ["failed", "No space left on device"]);
  assert.match(entry.error ?? "", /No space left on device/);
  assert.deepEqual(small.done, []);
});

Deno.test("restore() touches nothing when what stands there is no longer what was planned", async () => {
  const cases: [(small: SmallNode) => void, RegExp][] = [
    [(small) => small.vms.delete(101), /the guest to replace has gone since the plan was made/],
    [(small) => small.vms.get(101)!.config += "scsi1: fast:new,size=1G\n", /configuration .* has changed/],
    [(small) => small.vms.get(101)!.config += "\n[snap]\nname: web\n", /configuration .* has changed/],
    [(small) => small.vms.get(101)!.status = "running", /was started/],
    [(small) => small.vms.get(101)!.node = "pve2", /has moved/],
  ];
  for (const [change, said] of cases) {
    const small = withVm("stopped");
    const { entry } = await restored(small, { meanwhile: () => change(small) });
    assert.equal(entry.outcome, "failed");
    assert.match(entry.error ?? "", said);
    assert.match(entry.error ?? "", /; nothing was changed; run it again$/);
    assert.deepEqual(small.done, ["save"]);
  }
  const small = new SmallNode();
  const meanwhile = () => void small.vms.set(101, { status: "running", config: OLD });
  assert.match((await restored(small, { meanwhile })).entry.error ?? "", /another guest has taken its vmid/);
  assert.deepEqual(small.done, ["save"]);
});

Deno.test("restore() starts the old guest again when the tool failed and left it intact", async () => {
  const small = withVm("running");
  small.restoreTool = () => ({
    status: 255,
    logTail: "unable to restore VM 101 - storage 'fast' does not exist",
  });
  const { entry } = await restored(small);
  assert.deepEqual(small.done.slice(1), [
    "qm shutdown 101",
    "qmrestore 101 --force 1",
    "qm start 101",
    "save",
  ]);
  assert.match(
    entry.error ?? "",
    /storage 'fast' does not exist; the guest that stands there is intact and was started again$/,
  );
});

Deno.test("restore() leaves an intact guest stopped that was stopped", async () => {
  const small = withVm("stopped");
  small.restoreTool = () => ({ status: 255, logTail: "cluster not ready - no quorum?" });
  assert.match(
    (await restored(small)).entry.error ?? "",
    /no quorum\?; the guest that stands there is untouched$/,
  );
});

Deno.test("restore() says so when the old guest does not start again", async () => {
  const small = withVm("running");
  small.restoreTool = () => ({ status: 255, logTail: "no quorum" });
  small.failing.set("start", exits(255, "got timeout"));
  const { entry } = await restored(small);
  assert.match(
    entry.error ?? "",
    /no quorum; the guest that stands there is intact, but it is stopped: Cannot start VM 101: /,
  );
});

Deno.test("restore() does not start what a failed tool left of the old guest", async () => {
  const small = withVm("running");
  small.restoreTool = (vmid) => {
    small.vms.set(vmid, { status: "stopped", config: "memory: 128\n" });
    return { status: 255, logTail: "command 'set -o pipefail && vma extract ...' failed: got signal 5" };
  };
  const { entry } = await restored(small);
  assert.ok(!small.done.includes("qm start 101"));
  assert.match(
    entry.error ?? "",
    /got signal 5; the guest that stood there is lost; its configuration is in the report/,
  );
  assert.equal(entry.replaced?.config, OLD);
  assert.ok(small.vms.has(101), "the remains of a replaced guest are not ours to remove");
});

Deno.test("restore() tells a guest that another task has locked from one that is lost", async () => {
  const locked = { status: 255, logTail: "unable to restore VM 101 - VM is locked (backup)" };
  // 1. It is whole: it runs again.
  const whole = withVm("running");
  whole.restoreTool = () => locked;
  assert.match((await restored(whole)).entry.error ?? "", /; the guest .* is intact and was started again$/);
  assert.equal(whole.vms.get(101)?.status, "running");
  // 2. The other task has changed it: nothing is ours to tell lost, or to start.
  const taken = withVm("running");
  taken.restoreTool = (vmid) => {
    taken.vms.set(vmid, { status: "stopped", config: "memory: 128\n" });
    return locked;
  };
  assert.match(
    (await restored(taken)).entry.error ?? "",
    /; another task is at work on it; it was not replaced$/,
  );
  assert.equal(taken.vms.get(101)?.status, "stopped");
});

Deno.test("restore() removes the stub that a failed qmrestore leaves of a new guest", async () => {
  const small = new SmallNode();
  small.restoreTool = (vmid) => {
    small.vms.set(vmid, { status: "stopped", config: "memory: 128\n" });
    return { status: 255, logTail: "failed: got signal 5" };
  };
  const { entry } = await restored(small);
  assert.deepEqual(small.done.slice(2), ["qm destroy 101", "save"]);
  assert.match(entry.error ?? "", /; the empty guest that it left behind was removed$/);
});

Deno.test("restore() removes no guest with a disk, and none that came in between", async () => {
  const incomplete = new SmallNode();
  incomplete.restoreTool = (vmid) => {
    incomplete.vms.set(vmid, { status: "stopped", config: "scsi1: fast:x,size=1G\n" });
    return { status: 255, logTail: "failed" };
  };
  assert.match((await restored(incomplete)).entry.error ?? "", /an incomplete VM 101 was left behind/);
  assert.ok(incomplete.vms.has(101));

  const raced = new SmallNode();
  raced.restoreTool = (vmid) => {
    raced.vms.set(vmid, { status: "running", config: "memory: 512\n" });
    return { status: 255, logTail: "unable to restore VM 101 - VM 101 already exists on node 'pve1'" };
  };
  assert.match((await restored(raced)).entry.error ?? "", /another guest has taken its vmid in between$/);
  assert.ok(raced.vms.has(101));
});

Deno.test("restore() does not believe exit status 0 alone", async () => {
  const nothing = new SmallNode();
  nothing.restoreTool = () => ({ status: 0, logTail: "" });
  assert.match(
    (await restored(nothing)).entry.error ?? "",
    /^The restore tool ended well, but there is no VM 101; nothing was left/,
  );

  const diskless = new SmallNode();
  diskless.restoreTool = (vmid) => {
    diskless.vms.set(vmid, { status: "stopped", config: "scsi1: fast:x\n" });
    return { status: 0, logTail: "" };
  };
  assert.match(
    (await restored(diskless)).entry.error ?? "",
    /^VM 101 lacks scsi0; an incomplete VM 101 was left behind/,
  );
});

Deno.test("restore() tells a guest that is restored but does not start", async () => {
  const small = withVm("running");
  small.failing.set("start", exits(255, "no such bridge"));
  const { report, entry } = await restored(small);
  assert.deepEqual([report.outcome, entry.outcome], ["partial", "not-running"]);
  assert.match(
    entry.error ?? "",
    /^VM 101 is restored, but not running: Cannot start VM 101: .*no such bridge$/,
  );
});

Deno.test("restore() keeps the tool's reason when the node cannot be asked afterwards", async () => {
  const small = withVm("running");
  small.restoreTool = () => {
    small.failing.set("resources", exits(255, "cluster is gone", ["pvesh"]));
    return { status: 255, logTail: "got signal 5" };
  };
  const { entry } = await restored(small);
  assert.match(entry.error ?? "", /got signal 5; how the guest was left is not known: .*cluster is gone$/);
});

Deno.test("restore() begins no guest after a stop, and finishes the one that is at its tool", async () => {
  const stop = new AbortController();
  const reason = new Error("Interrupted by SIGINT");
  const atTool = withVm("running");
  const restoreTool = atTool.restoreTool;
  atTool.restoreTool = (vmid) => {
    stop.abort(reason);
    return restoreTool(vmid);
  };
  const finished = await restored(atTool, { run: { stop: stop.signal } });
  assert.deepEqual([finished.report.outcome, finished.entry.outcome], ["good", "good"]);
  assert.equal(atTool.vms.get(101)?.status, "running");

  const late = withVm("running");
  const { report, entry } = await restored(late, { run: { stop: stop.signal } });
  assert.deepEqual([report.outcome, entry.outcome], ["interrupted", "not-started"]);
  assert.deepEqual(late.done, ["save"]);
});

Deno.test("restore() ends the staging of an archive when it is stopped, and touches nothing", async () => {
  const stop = new AbortController();
  const small = withVm("running");
  const pause = () => Promise.resolve(stop.abort(new Error("Interrupted by SIGINT")));
  const { report, entry } = await restored(small, { source: { pause }, run: { stop: stop.signal } });
  assert.deepEqual([report.outcome, entry.outcome], ["interrupted", "not-started"]);
  assert.deepEqual(small.done, ["save"]);
});

Deno.test("restore() does nothing for a plan that is refused", async () => {
  const small = withVm("running");
  const { report, entry } = await restored(small, { settings: { ifExists: "refuse" } });
  assert.deepEqual([report.outcome, entry.outcome], ["failed", "refused"]);
  assert.match(entry.error ?? "", /^Cannot restore VM 101: it is running on node "pve1"; pass --force/);
  assert.deepEqual(small.done, ["save"]);
});
