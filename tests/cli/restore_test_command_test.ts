import assert from "node:assert/strict";
import type { GuestSpec } from "../pve/mod.ts";
import { type Bed, makeBed } from "./harness.ts";

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  config: { agent: "1", onboot: "1", hostpci0: "0000:01:00.0" },
};
const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  disks: [{ key: "rootfs", size: "1G" }],
  config: { onboot: "1", mp0: "/srv/data,mp=/srv", hookscript: "local:snippets/hook.pl" },
};

/** A test bed whose guests have been backed up. */
async function makeBackedUpBed(guests: GuestSpec[]): Promise<Bed> {
  const bed = await makeBed({ guests });
  const { status, stderr } = await bed.run(["backup", "--all", "--to", bed.store]);
  assert.equal(status, 0, stderr);
  return bed;
}

function test(bed: Bed, ...flags: string[]) {
  return bed.run(["restore-test", "--from", bed.store, "--dump-dir", bed.node.dumpDir, ...flags]);
}

/** The guests that the node had before, as they were. */
function assertUntouched(bed: Bed, before: unknown): void {
  assert.deepEqual(bed.node.state().guests, before);
  assert.deepEqual(bed.leftovers(), []);
}

Deno.test("restore-test proves a VM and a container, and leaves the node as it was", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  const before = bed.node.state().guests;
  const { status, stdout, stderr } = await test(bed, "--all");
  assert.equal(status, 0, stderr);
  const [vm, ct, sum] = stdout.trim().split("\n");
  assert.match(
    vm ?? "",
    /^VM 101 "web": passed, the guest agent answered; restored in .* s, booted in .* s$/,
  );
  assert.match(ct ?? "", /^CT 105 "mail": passed, a command ran in it; restored in /);
  assert.equal(sum, "2 of 2 guests passed");
  assertUntouched(bed, before);
  for (const { argv } of bed.node.calls()) assert.ok(!argv.includes("--purge") && !argv.includes("--force"));
});

Deno.test("restore-test takes the network, mounts of the host and hooks off a container before its start", async () => {
  await using bed = await makeBackedUpBed([CT]);
  bed.node.fault(100, { startFails: "no space left" });
  const { status, json } = await test(bed, "--vmid", "105", "--json");
  assert.equal(status, 1);
  const [guest, summary] = json;
  assert.equal(guest.outcome, "failed");
  assert.match(guest.text, /Cannot start CT 100: .*no space left/);
  assert.deepEqual(guest.without.toSorted(), ["hookscript", "mp0", "net0", "onboot"]);
  assert.deepEqual([summary.type, summary.outcome], ["summary", "failed"]);
  assert.equal(bed.node.guest(100), undefined);
});

Deno.test("restore-test exits 3 when some of the guests fail, and says started, not proven", async () => {
  await using bed = await makeBackedUpBed([{ ...VM, config: {} }, CT]);
  // The container goes to the second free vmid.
  bed.node.fault(102, { startFails: "no bridge" });
  const before = bed.node.state().guests;
  const { status, stdout, stderr } = await test(bed, "--all", "--timeout", "1");
  assert.equal(status, 3, stderr);
  assert.match(stdout, /^VM 101 "web": started, not proven, it kept running for 1 s; .*, ran for /m);
  assert.match(stdout, /^CT 105 "mail": failed, /m);
  assert.match(stdout, /^0 of 2 guests passed, 1 started, not proven$/m);
  assert.match(stderr, /^Not shown to restore: 105$/m);
  assertUntouched(bed, before);
});

Deno.test("restore-test of a damaged archive exits 5 and makes no guest", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const { path, names } = bed.snapshot();
  const file = `${path}/${names.find((name) => name.startsWith("vzdump-"))}`;
  await Deno.truncate(file, (await Deno.stat(file)).size - 1000);
  const before = bed.node.state().guests;
  const { status, stdout, stderr } = await test(bed, "--all");
  assert.equal(status, 5, stdout + stderr);
  assertUntouched(bed, before);
});

Deno.test("restore-test goes on with the others when the very beginning of an archive is damaged", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  const { path, names } = bed.snapshot();
  const file = `${path}/${names.find((name) => name.startsWith("vzdump-qemu-"))}`;
  await Deno.writeFile(file, (await Deno.readFile(file)).fill(0, 0, 64));
  const before = bed.node.state().guests;
  const { status, stdout, stderr } = await test(bed, "--all");
  assert.equal(status, 3, stderr);
  assert.match(stdout, /^VM 101: failed, Archive is nothing that vzdump writes/m);
  assert.match(stdout, /^CT 105 "mail": passed, /m);
  assert.match(stderr, /^Not shown to restore: 101$/m);
  assertUntouched(bed, before);
});

Deno.test("restore-test interrupted while it waits removes its guest and exits 130", async () => {
  await using bed = await makeBackedUpBed([VM]);
  bed.node.fault(100, { silent: true });
  const before = bed.node.state().guests;
  const args = ["restore-test", "--from", bed.store, "--dump-dir", bed.node.dumpDir, "--all"];
  const { child, finished } = await bed.start(args);
  await until(() => bed.node.guest(100)?.status === "running");
  child.kill("SIGINT");
  const { status, stdout } = await finished;
  assert.equal(status, 130, stdout);
  assertUntouched(bed, before);
});

Deno.test("cleanup removes the guest of a restore test that was killed while its restore tool ran", async () => {
  for (const guest of [VM, CT]) {
    await using bed = await makeBackedUpBed([guest]);
    const before = bed.node.state().guests;
    bed.node.fault(100, { restoreMs: 1500 });
    const args = ["restore-test", "--from", bed.store, "--dump-dir", bed.node.dumpDir, "--all"];
    const { child, finished } = await bed.start(args);
    await until(() => bed.node.guest(100) !== undefined);
    child.kill("SIGKILL");
    await finished;
    // The tool is left to finish, and what it made is known for what it is.
    await until(() => bed.leftovers().length === 0);
    const { entries } = bed.node.guest(100)!;
    assert.equal(entries.name ?? entries.hostname, `restore-test-${guest.vmid}`);
    assert.equal(bed.node.guest(100)?.status, "stopped");
    const { status, stdout } = await bed.run(["cleanup", "--yes", "--dump-dir", bed.node.dumpDir]);
    assert.equal(status, 0, stdout);
    assertUntouched(bed, before);
  }
});

Deno.test("cleanup removes the guest of a restore test that was killed, and no guest of one that runs", async () => {
  await using bed = await makeBackedUpBed([VM]);
  bed.node.fault(100, { silent: true });
  const before = bed.node.state().guests;
  const args = ["restore-test", "--from", bed.store, "--dump-dir", bed.node.dumpDir, "--all"];
  const { child, finished } = await bed.start(args);
  await until(() => bed.node.guest(100)?.status === "running");
  const cleanup = ["cleanup", "--yes", "--dump-dir", bed.node.dumpDir];
  // 1. It runs: its guest stays, wherever cleanup looks.
  const early = await bed.run([...cleanup.slice(0, 2), "--dump-dir", bed.node.dir]);
  assert.match(early.stdout, /^stays .* VM 100: its restore test is at work/m);
  assert.equal(bed.node.guest(100)?.status, "running");
  // 2. It is killed: the guest keeps running, named for what it is.
  child.kill("SIGKILL");
  await finished;
  assert.equal(bed.node.guest(100)?.entries.name, "restore-test-101");
  // 3. A guest of the user's that is only named like one is not touched.
  bed.node.addGuest({ vmid: 107, name: "restore-test-mine" });
  await until(() => bed.leftovers().length === 0);
  const shown = await bed.run(["cleanup", "--dump-dir", bed.node.dumpDir]);
  assert.match(
    shown.stdout,
    /^guest .* VM 100: "restore-test-101" was made by a restore test that was killed/m,
  );
  const { status, stdout, stderr } = await bed.run(cleanup);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^Done: remove VM 100$/m);
  assert.equal(bed.node.guest(107)?.status, "running");
  bed.node.destroyGuest(107);
  assertUntouched(bed, before);
});

async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error("it did not come true within a minute");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
