import assert from "node:assert/strict";
import { until } from "../pve/test_tools.ts";
import { type Bed, makeBed } from "./harness.ts";
import type { SimOptions } from "../pve/mod.ts";

const VM = { vmid: 101, name: "web", disks: [{ key: "scsi0", size: "4M" }] };
const CT = { vmid: 105, kind: "lxc" as const, name: "mail" };

/** A test bed whose guests have been backed up. */
async function makeBackedUpBed(options: SimOptions): Promise<Bed> {
  const bed = await makeBed(options);
  const { status, stderr } = await bed.run(["backup", "--all", "--to", bed.store]);
  assert.equal(status, 0, stderr);
  return bed;
}

const restoreArgs = (bed: Bed, ...flags: string[]) => ["restore", "--from", bed.store, "--all", ...flags];

Deno.test("restore --if-exists keep-copy shows, makes and reports a full copy of each guest", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM, CT] });
  const kept = [bed.node.sha256(101, "scsi0"), bed.node.sha256(105, "rootfs")];
  const args = restoreArgs(bed, "--if-exists", "keep-copy");
  const dry = await bed.run([...args, "--dry-run"]);
  assert.equal(dry.status, 0, dry.stderr);
  assert.match(
    dry.stdout,
    /copy +what stands there is kept as VM 100, with scsi0 \(4 MiB\), not started at boot/,
  );
  assert.match(dry.stdout, /copy +what stands there is kept as CT 102, with rootfs \(1 GiB\)/);
  assert.equal(bed.node.guest(100), undefined);

  const { status, stderr, json } = await bed.run([...args, "--json"]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /VM 101: VM 100 on node "pve1" is a full copy of the guest that stood there/);
  assert.deepEqual(json.slice(0, 2).map((line) => line.copy), [
    { vmid: 100, kind: "qemu", node: "pve1" },
    { vmid: 102, kind: "lxc", node: "pve1" },
  ]);
  assert.deepEqual([bed.node.sha256(100, "scsi0"), bed.node.sha256(102, "rootfs")], kept);
  assert.deepEqual([100, 101, 102, 105].map((vmid) => bed.node.guest(vmid)?.status), [
    "stopped",
    "running",
    "stopped",
    "running",
  ]);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore --if-exists keep-copy replaces nothing when the copy fails", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM] });
  bed.node.fault(101, { cloneFails: "no space left on device" });
  const { status, stderr } = await bed.run(restoreArgs(bed, "--if-exists", "keep-copy"));
  assert.equal(status, 1);
  assert.match(stderr, /Cannot copy VM 101: .*no space left on device.*intact and was started again/);
  assert.equal(bed.node.guest(101)?.status, "running");
  assert.deepEqual(Object.keys(bed.node.state().guests), ["101"]);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore --newid-offset puts each guest beside its original", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM, CT] });
  const refused = await bed.run(restoreArgs(bed, "--newid", "300"));
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /pass --newid next or --newid-offset/);
  const both = await bed.run(restoreArgs(bed, "--newid", "next", "--newid-offset", "1000"));
  assert.equal(both.status, 2);
  assert.match(both.stderr, /Cannot use newid and newid_offset together/);
  const { status, stderr } = await bed.run(restoreArgs(bed, "--newid-offset", "1000"));
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.sha256(1101, "scsi0"), bed.node.sha256(101, "scsi0"));
  assert.equal(bed.node.guest(1105)?.entries.hostname, "mail");
});

const HA = { guests: [{ ...VM, ha: "started" }], knobs: { haDelayMs: 300 } };
const upAgain = (bed: Bed) => {
  const { ha, haError, status } = bed.node.state().guests[101]!;
  return ha === "started" && !haError && status === "running";
};

Deno.test("restore --force of a guest under HA has its state back at the end, and in the plan", async () => {
  await using bed = await makeBackedUpBed(HA);
  const { status, stderr } = await bed.run(restoreArgs(bed, "--force"));
  assert.equal(status, 0, stderr);
  assert.match(stderr, /HA +requested stopped meanwhile, started again afterwards/);
  assert.ok(upAgain(bed), JSON.stringify(bed.node.state().guests[101]));
});

Deno.test("restore that is killed while a guest under HA shuts down leaves it to the node to start it again", async () => {
  await using bed = await makeBackedUpBed(HA);
  bed.node.fault(101, { shutdownMs: 1000 });
  const { child, finished } = await bed.start(restoreArgs(bed, "--force"));
  await until("HA is asked to stop the guest", () => bed.node.state().guests[101]?.ha === "stopped");
  child.kill("SIGKILL");
  await finished;
  await until("the guest is up again", () => upAgain(bed));
  await until("nothing is left", () => bed.leftovers().length === 0);
});

Deno.test("restore that is terminated while a guest shuts down leaves it as it was, and says so", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM] });
  const before = bed.node.sha256(101, "scsi0");
  bed.node.fault(101, { shutdownMs: 1500 });
  const { child, finished } = await bed.start(restoreArgs(bed, "--force"));
  await until("it is being shut down", () => bed.node.calls().some(({ argv }) => argv[0] === "shutdown"));
  child.kill("SIGTERM");
  const { status, stderr } = await finished;
  assert.equal(status, 143, stderr);
  assert.match(stderr, /^SIGTERM: what is at work is brought to an orderly end/m);
  assert.match(stderr, /Cannot restore VM 101: Interrupted by SIGTERM; .* intact and was started again/);
  assert.deepEqual([bed.node.guest(101)?.status, bed.node.sha256(101, "scsi0")], ["running", before]);
  assert.ok(!bed.node.calls().some(({ tool }) => tool === "qmrestore"));
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("a SIGHUP that nohup has us ignore ends nothing", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM] });
  bed.node.fault(101, { shutdownMs: 1000 });
  const args = ["-c", 'trap "" HUP; exec "$@"', "sh", bed.binary, ...restoreArgs(bed, "--force")];
  const { child, finished } = await bed.start([...args, "--dump-dir", bed.node.dumpDir], {}, "/bin/sh");
  await until("it is being shut down", () => bed.node.calls().some(({ argv }) => argv[0] === "shutdown"));
  child.kill("SIGHUP");
  const { status, stderr } = await finished;
  assert.equal(status, 0, stderr);
});

Deno.test("restore --skip-refused leaves out archives whose very beginning is damaged, and names each", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM, CT, { vmid: 106, kind: "lxc" }] });
  const { path, names } = bed.snapshot();
  for (const kind of ["qemu-101", "lxc-106"]) {
    const name = names.find((entry) => entry.startsWith(`vzdump-${kind}-`) && !entry.endsWith(".json"));
    await Deno.truncate(`${path}/${name}`);
  }
  bed.node.destroyGuest(105);
  const refused = await bed.run(restoreArgs(bed, "--force"));
  assert.equal(refused.status, 5, refused.stderr);
  for (const label of ["VM 101", "CT 106"]) {
    assert.match(
      refused.stderr,
      new RegExp(`^Cannot restore ${label}: its archive "vzdump-.*" is damaged: `, "m"),
    );
  }
  assert.equal(bed.node.guest(105), undefined);
  const { status, stderr, json } = await bed.run(restoreArgs(bed, "--force", "--skip-refused", "--json"));
  assert.equal(status, 3, stderr);
  const outcomes = json.slice(0, 3).map(({ target, outcome, damaged }) => [target, outcome, damaged]);
  assert.deepEqual(outcomes, [[101, "refused", true], [105, "good", undefined], [106, "refused", true]]);
  assert.ok(bed.node.guest(105));
  const only = await bed.run(["restore", "--from", bed.store, "--vmid", "101", "--force"]);
  assert.equal(only.status, 5, only.stderr);
});

Deno.test("restore --report makes no directory, and refuses before anything is begun", async () => {
  await using bed = await makeBackedUpBed({ guests: [VM] });
  const report = `${bed.store}/not/there.json`;
  const { status, stderr } = await bed.run(restoreArgs(bed, "--force", "--report", report));
  assert.equal(status, 2, stderr);
  assert.match(stderr, /Cannot write the report ".*": there is no directory/);
  assert.ok(!bed.node.calls().some(({ tool }) => tool === "qmrestore"));
});
