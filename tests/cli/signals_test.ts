import assert from "node:assert/strict";
import { type Bed, makeBed } from "./harness.ts";

/** Waits until `condition` holds, at most some seconds. */
async function eventually(what: string, condition: () => boolean, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const isClean = (bed: Bed) => {
  const { guests, vzdump } = bed.node.locks();
  return Object.keys(guests).length === 0 && !vzdump && bed.node.processes().length === 0;
};

const writes = (bed: Bed) => () => {
  try {
    return bed.snapshot().names.some((name) =>
      name.endsWith(".part") && Deno.statSync(`${bed.snapshot().path}/${name}`).size > 0
    );
  } catch {
    return false;
  }
};

const SLOW = { vmid: 101, disks: [{ key: "scsi0", size: "256M", synthetic: true }] };

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test(`${signal} during a backup ends vzdump cleanly, keeps what is whole and exits ${status}`, async () => {
    await using bed = await makeBed({ guests: [{ vmid: 100 }, SLOW, { vmid: 102 }] });
    bed.node.fault(101, { bytesPerSecond: 8 * 1024 * 1024, cleanupSeconds: 1 });
    const args = ["backup", "--all", "--to", bed.store, "--backup-compression", "0"];
    const { child, finished } = await bed.start(args);
    await eventually(
      "the dump of 101 runs",
      () => writes(bed)() && bed.node.locks().guests[101] !== undefined,
    );
    child.kill(signal);
    const ended = await finished;
    assert.equal(ended.status, status, ended.stderr);
    assert.ok(isClean(bed), JSON.stringify(bed.node.locks()));
    assert.deepEqual(bed.leftovers(), []);
    const report = bed.document("report.json");
    assert.equal(report.outcome, "interrupted");
    const outcomes = report.guests.map((guest: { outcome: string }) => guest.outcome);
    assert.deepEqual(outcomes, ["good", "failed", "not-started"]);
    assert.ok(!bed.snapshot().names.some((name) => name.endsWith(".part")));
    const [call] = bed.node.calls().filter(({ tool, argv }) => tool === "vzdump" && argv[0] === "101");
    assert.equal(call?.exit, 255);
  });
}

Deno.test("SIGKILL during a backup: vzdump ends by itself, no lock stays, whole archives stay listed", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 100 }, SLOW] });
  bed.node.fault(101, { bytesPerSecond: 8 * 1024 * 1024, cleanupSeconds: 1 });
  const { child, finished } = await bed.start([
    "backup",
    "--all",
    "--to",
    bed.store,
    "--backup-compression",
    "0",
  ]);
  await eventually("the dump of 101 runs", () => writes(bed)() && bed.node.locks().guests[101] !== undefined);
  child.kill("SIGKILL");
  await finished;
  await eventually("the node is clean", () => isClean(bed) && bed.leftovers().length === 0);
  const { status, stdout, stderr } = await bed.run(["list", "--from", bed.store]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^100 .* incomplete/m);
  assert.doesNotMatch(stdout, /^101 /m);
  assert.match(stderr, /is incomplete/);
});

Deno.test("SIGKILL while vzdump waits for the node's lock: the waiting vzdump goes away by itself", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102, disks: SLOW.disks }] });
  bed.node.fault(102, { hangAfterBytes: 1 });
  const holder = await bed.start(["backup", "--vmid", "102", "--to", `${bed.store}2`]);
  await eventually("102 is being dumped", () => bed.node.locks().guests[102] !== undefined);
  const waiting = await bed.start(["backup", "--vmid", "101", "--to", bed.store]);
  const isWaiting = () => bed.node.processes().some(({ vmid, tool }) => vmid === 101 && tool === "vzdump");
  await eventually("101 waits", isWaiting);
  waiting.child.kill("SIGKILL");
  await waiting.finished;
  await eventually("101 no longer waits", () => !isWaiting(), 60);
  assert.equal(bed.node.locks().guests[102], "backup");
  holder.child.kill("SIGTERM");
  assert.equal((await holder.finished).status, 143);
  await eventually("the node is clean", () => isClean(bed));
});

Deno.test("Ctrl-C during a restore lets the restore tool finish and stops before the next guest", async () => {
  await using bed = await makeBed({
    guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "64M" }] }, { vmid: 102 }],
  });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  bed.node.fault(101, { restoreMs: 2000 });
  const { child, finished } = await bed.start(["restore", "--from", bed.store, "--all", "--force"]);
  await eventually("101 is being restored", () => bed.node.calls().some(({ tool }) => tool === "qmrestore"));
  child.kill("SIGINT");
  const { status, stderr } = await finished;
  assert.equal(status, 130, stderr);
  assert.equal(bed.node.guest(101)?.status, "running");
  const restored = bed.node.calls().filter(({ tool }) => tool === "qmrestore").map((
    { argv, exit },
  ) => [argv[1], exit]);
  assert.deepEqual(restored, [["101", 0]]);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("SIGKILL while an archive is staged: it goes away by itself, and the guest is untouched", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "64M" }] }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  const { child, finished } = await bed.start(["restore", "--from", bed.store, "--all", "--force"]);
  await eventually("it is being staged", () => bed.leftovers().length > 0);
  child.kill("SIGKILL");
  await finished;
  await eventually("the staged archive is gone", () => bed.leftovers().length === 0);
  assert.equal(bed.node.guest(101)?.status, "running");
});

for (const [what, vmid] of [["shuts the guest down", 101], ["restores over the guest", 102]] as const) {
  Deno.test(`SIGKILL while it ${what}: the guest is whole and runs again in the end`, async () => {
    await using bed = await makeBed({
      guests: [{ vmid: 101 }, { vmid: 102, disks: [{ key: "scsi0", size: "64M" }] }],
    });
    assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
    const digest = bed.node.sha256(vmid, "scsi0");
    bed.node.fault(101, { shutdownMs: 3000 });
    const { child, finished } = await bed.start([
      "restore",
      "--from",
      bed.store,
      "--vmid",
      String(vmid),
      "--force",
    ]);
    const isAt = (step: string) =>
      bed.node.calls().some(({ tool, argv }) => tool === step || argv[0] === step);
    await eventually("it is at it", () => isAt(vmid === 101 ? "shutdown" : "qmrestore"));
    child.kill("SIGKILL");
    await finished;
    await eventually("all is over", () => bed.leftovers().length === 0);
    assert.equal(bed.node.guest(vmid)?.status, "running");
    assert.equal(bed.node.sha256(vmid, "scsi0"), digest);
    assert.deepEqual(bed.node.locks().guests, {});
  });
}

Deno.test("SIGKILL during a restore: the tool is left to finish, and what was staged goes with it", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "64M" }] }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  const digest = bed.node.sha256(101, "scsi0");
  bed.node.destroyGuest(101);
  const { child, finished } = await bed.start(["restore", "--from", bed.store, "--all"]);
  const isRestoring = () => bed.node.calls().some(({ tool }) => tool === "qmrestore");
  await eventually("qmrestore runs", isRestoring);
  child.kill("SIGKILL");
  await finished;
  await eventually(
    "qmrestore has ended",
    () => bed.node.calls().some(({ tool, exit }) => tool === "qmrestore" && exit === 0),
  );
  assert.equal(bed.node.sha256(101, "scsi0"), digest);
  assert.deepEqual(bed.node.locks().guests, {});
  await eventually("the staged archive is gone", () => bed.leftovers().length === 0);
});
