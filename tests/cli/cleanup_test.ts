// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { run } from "../pve/test_tools.ts";
import { type Bed, makeBed } from "./harness.ts";
import { killTree } from "./kill_tree.ts";

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, fn, ...needs("flock") });

async function eventually(what: string, condition: () => boolean, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const BIG = [{ key: "scsi0", size: "256M", synthetic: true }];

/** All paths below, so that nobody can remove or add one unseen. */
function pathsBelow(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory ? [`${dir}/${name}`, ...pathsBelow(`${dir}/${name}`)] : [`${dir}/${name}`]
  ).sort();
}

const partsIn = (bed: Bed) => {
  try {
    return pathsBelow(bed.store).filter((path) => path.endsWith(".part"));
  } catch {
    return [];
  }
};

const cleanup = (bed: Bed, ...flags: string[]) =>
  bed.run(["cleanup", "--dump-dir", bed.node.dumpDir, ...flags]);

/** A backup of 101 that is in the middle of the dump. */
async function startBackup(bed: Bed) {
  bed.node.fault(101, { hangAfterBytes: 64 * 1024 * 1024 });
  const running = await bed.start([
    "backup",
    "--vmid",
    "101",
    "--to",
    bed.store,
    "--backup-compression",
    "0",
  ]);
  await eventually("101 is being dumped", () => {
    return partsIn(bed).some((path) => Deno.statSync(path).size > 0) && bed.leftovers().length > 0;
  });
  return running;
}

/** A bed where a backup of 101 was killed with all its processes, and files of the user's lie about. */
async function makeKilledBed(): Promise<Bed> {
  const bed = await makeBed({ guests: [{ vmid: 101, disks: BIG }, { vmid: 102 }, { vmid: 103 }] });
  const { child, finished } = await startBackup(bed);
  await killTree(child.pid);
  await finished;
  await eventually("nothing runs", () => bed.node.processes().length === 0 && !bed.node.locks().vzdump);
  Deno.writeTextFileSync(`${bed.node.dumpDir}/vzdump-qemu-101-2025_01_31-12_00_00.vma`, "the user's");
  Deno.writeTextFileSync(`${bed.store}/vzdump-qemu-101-2025_01_31-12_00_00.vma.part`, "the user's");
  return bed;
}

/** Kills the restore of a guest with all its processes, once it has destroyed what stood there. */
async function killRestore(bed: Bed, vmid: number): Promise<void> {
  bed.node.fault(vmid, { restoreHangs: "after-destroy" });
  const { child, finished } = await bed.start([
    "restore",
    "--from",
    bed.store,
    "--vmid",
    `${vmid}`,
    "--force",
  ]);
  await eventually("its restore hangs", () => {
    const config = bed.node.guest(vmid)?.config;
    return bed.node.processes().length > 0 && config !== undefined && !config.includes("scsi0:");
  });
  await killTree(child.pid);
  await finished;
  bed.node.fault(vmid, {});
}

test("cleanup shows what a killed backup left and removes nothing unless told to", async () => {
  await using bed = await makeKilledBed();
  const before = [...pathsBelow(bed.node.dumpDir), ...pathsBelow(bed.store)];
  const { status, stdout, stderr } = await cleanup(bed, "--store", bed.store, "--unlock");
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^directory {2}pve1 {2}\/.*\/plakar-proxmox-[0-9a-f]{32}-101, .*: left over/m);
  assert.match(stdout, /^part {7}\/.*\.vma\.part, .*MiB: part file/m);
  assert.match(stdout, /^lock {7}pve1 {2}VM 101: /m);
  assert.match(stderr, /Nothing was removed; pass --yes to remove it/);
  assert.deepEqual([...pathsBelow(bed.node.dumpDir), ...pathsBelow(bed.store)], before);
  assert.equal(bed.node.guest(101)?.lock, "backup");
});

test("cleanup --yes removes what a killed backup left, and nothing of the user's", async () => {
  await using bed = await makeKilledBed();
  const before = [...pathsBelow(bed.node.dumpDir), ...pathsBelow(bed.store)];
  const { status, stdout, stderr, json } = await cleanup(bed, "--store", bed.store, "--yes", "--json");
  assert.equal(status, 0, stderr);
  const kinds = json.map(({ type, kind, removed }) => [type, kind, removed]);
  const last = ["summary", undefined, json.at(-1).found];
  assert.deepEqual(kinds, [["leftover", "part", true], ["leftover", "directory", true], last], stdout);
  const isOurs = (path: string) => /plakar-proxmox-[0-9a-f]{32}-101/.test(path) || /Z-.*\.part$/.test(path);
  const after = [...pathsBelow(bed.node.dumpDir), ...pathsBelow(bed.store)];
  assert.deepEqual(after, before.filter((path) => !isOurs(path)));
  assert.ok(after.length < before.length);
  assert.equal(bed.node.guest(101)?.lock, "backup", "only --unlock unlocks");
  const again = await cleanup(bed, "--store", bed.store, "--yes");
  assert.deepEqual([again.status, again.stdout], [0, "Nothing to clean up\n"]);
});

test("cleanup --unlock frees the guest that a killed backup locked, and no other one", async () => {
  await using bed = await makeKilledBed();
  bed.node.setLock(102, "backup");
  bed.node.setLock(103, "migrate");
  const { status, stdout, stderr } = await cleanup(bed, "--unlock", "--yes");
  assert.equal(status, 0, stderr);
  assert.deepEqual(bed.node.locks().guests, { 102: "backup", 103: "migrate" });
  assert.match(stdout, /^stays {6}pve1 {2}VM 102: it is locked \(backup\), but no run of this program/m);
  assert.match(stdout, /^Done: remove 1 directory, unlock VM 101$/m);
  assert.deepEqual(bed.leftovers(), ["vzdump-qemu-101-2025_01_31-12_00_00.vma"]);
  bed.node.fault(101, {});
  const backup = await bed.run(["backup", "--vmid", "101", "--to", bed.store]);
  assert.equal(backup.status, 0, backup.stderr);
});

test("cleanup --unlock goes by the store where no directory is left, and tells clusters apart", async () => {
  await using bed = await makeKilledBed();
  assert.equal((await cleanup(bed, "--yes")).status, 0);
  assert.deepEqual(bed.leftovers(), ["vzdump-qemu-101-2025_01_31-12_00_00.vma"]);
  await cleanup(bed, "--unlock", "--yes");
  assert.equal(bed.node.guest(101)?.lock, "backup", "nothing tells of it");
  await using stranger = await makeBed({ guests: [{ vmid: 101 }], otherNodes: ["!pve2"] });
  stranger.node.setLock(101, "backup");
  const elsewhere = await cleanup(stranger, "--unlock", "--yes", "--store", bed.store);
  assert.equal(elsewhere.status, 0, elsewhere.stderr);
  assert.equal(stranger.node.guest(101)?.lock, "backup");
  const { status, stderr } = await cleanup(bed, "--unlock", "--yes", "--store", bed.store);
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.guest(101)?.lock, undefined);
});

test("cleanup touches nothing of a run that is at work", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101, disks: BIG }] });
  const { child, finished } = await startBackup(bed);
  const before = pathsBelow(bed.node.dumpDir);
  const { status, stdout, stderr } = await cleanup(bed, "--yes", "--unlock", "--store", bed.store);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^stays .*plakar-proxmox-.*: its run is at work$/m);
  assert.match(stdout, /^stays {6}\/.*Z-[0-9a-f]+: its run is at work$/m);
  assert.match(stdout, /^stays .*VM 101: it is locked/m);
  assert.match(stdout, /^Nothing to clean up$/m);
  assert.deepEqual(pathsBelow(bed.node.dumpDir), before);
  assert.equal(bed.node.guest(101)?.lock, "backup");
  assert.ok(partsIn(bed).length > 0);
  child.kill("SIGTERM");
  assert.equal((await finished).status, 143);
});

test("cleanup removes the archive of a killed restore, and tells of the guest that was stopped for it", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "16M" }] }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  bed.node.fault(101, { restoreHangs: "before-destroy" });
  const { child, finished } = await bed.start(["restore", "--from", bed.store, "--all", "--force"]);
  await eventually("qmrestore runs", () => bed.node.calls().some(({ tool }) => tool === "qmrestore"));
  await eventually("its worker runs", () => bed.node.processes().length > 0);
  const busy = await cleanup(bed, "--yes");
  assert.match(busy.stdout, /its run is at work/);
  await killTree(child.pid);
  await finished;
  const [name] = bed.leftovers();
  assert.ok(pathsBelow(`${bed.node.dumpDir}/${name}`).some((path) => /vzdump-qemu-101-.*\.vma/.test(path)));
  const { status, stdout, stderr } = await cleanup(bed, "--yes");
  assert.equal(status, 0, stderr);
  assert.match(
    stdout,
    /VM 101 was being replaced .*: it is locked \(create\): "qm unlock 101", then look at it/,
  );
  assert.deepEqual(bed.leftovers(), []);
});

test("cleanup tells of a guest whose restore was killed in the middle, and how it comes back", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102, status: "stopped" }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  bed.node.destroyGuest(102);
  for (const vmid of [101, 102]) await killRestore(bed, vmid);
  const said = (await cleanup(bed)).stdout;
  assert.match(
    said,
    /VM 101 was being replaced when its restore was cut off: it is locked \(create\) and has no disks/,
  );
  assert.match(
    said,
    /: "qm unlock 101", then restore it again; the configuration that it had is in that run's report/,
  );
  assert.match(
    said,
    /VM 102 was being restored .*: "qm unlock 102 && qm destroy 102", then restore it again/,
  );
  const doctor = await bed.run(["doctor", "--dump-dir", bed.node.dumpDir]);
  assert.match(doctor.stdout, /VM 101 was being replaced .*"qm unlock 101"/s);
  assert.equal((await cleanup(bed, "--yes")).status, 0);
  assert.deepEqual(bed.leftovers(), []);
  // What it says works.
  for (const args of [["unlock", "101"], ["unlock", "102"], ["destroy", "102"]]) {
    assert.equal((await run(bed.node, "qm", args)).code, 0);
  }
  const again = await bed.run(["restore", "--from", bed.store, "--all", "--force"]);
  assert.equal(again.status, 0, again.stderr);
});

test("a backup says what a killed run left, and goes on", async () => {
  await using bed = await makeKilledBed();
  const { status, stderr } = await bed.run(["backup", "--vmid", "103", "--to", bed.store]);
  assert.equal(status, 0, stderr);
  const lines = stderr.split("\n").filter((line) => line.includes("left over"));
  assert.equal(lines.length, 1, stderr);
  assert.match(
    lines[0] ?? "",
    /was left over by a run that was killed; remove with "plakar-proxmox cleanup"/,
  );
});

test("a restore says what a killed run left, and goes on", async () => {
  await using bed = await makeKilledBed();
  const args = ["--vmid", "103", "--to", `${bed.store}2`];
  assert.equal((await bed.run(["backup", ...args])).status, 0);
  bed.node.destroyGuest(103);
  const { status, stderr } = await bed.run(["restore", "--from", `${bed.store}2`, "--all"]);
  assert.equal(status, 0, stderr);
  assert.equal(stderr.split("\n").filter((line) => line.includes("left over")).length, 1, stderr);
});

test("cleanup looks at the other nodes too, and says which it could not reach", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }], otherNodes: ["pve2", "!pve3"] });
  const { status, stdout, stderr } = await cleanup(bed, "--connect-timeout", "1");
  assert.equal(status, 3, stdout);
  assert.match(stderr, /^Node "pve2" was not looked at: Cannot reach node "pve2"/m);
  assert.match(stdout, /^stays {6}pve3 {2}node "pve3": it is offline$/m);
});

test("cleanup refuses a store that cannot be read", async () => {
  await using bed = await makeBed({});
  const { status, stderr } = await cleanup(bed, "--store", `${bed.store}/none`);
  assert.equal(status, 2);
  assert.match(stderr, /^Cannot read "/);
});
