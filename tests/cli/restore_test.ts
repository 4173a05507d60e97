// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import type { GuestSpec } from "../pve/mod.ts";
import { type Bed, makeBed } from "./harness.ts";

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  disks: [{ key: "scsi0", size: "8M" }, { key: "virtio1", size: "3M" }],
};
const CT: GuestSpec = { vmid: 105, kind: "lxc", name: "mail" };

/** A test bed whose guests have been backed up. */
async function makeBackedUpBed(guests: GuestSpec[], flags: string[] = []): Promise<Bed> {
  const bed = await makeBed({ guests, pools: ["prod"] });
  const { status, stderr } = await bed.run(["backup", "--all", "--to", bed.store, ...flags]);
  assert.equal(status, 0, stderr);
  return bed;
}

function restoreCalls(bed: Bed): string[][] {
  return bed.node.calls()
    .filter(({ tool, argv }) => tool === "qmrestore" || (tool === "pct" && argv[0] === "restore"))
    .map(({ argv }) => argv);
}

for (const compression of ["0", "gzip", "lzo", "zstd"]) {
  Deno.test(`restore brings destroyed guests back bit by bit from --backup-compression ${compression}`, async () => {
    await using bed = await makeBackedUpBed([VM, CT], ["--backup-compression", compression]);
    const before = [
      bed.node.sha256(101, "scsi0"),
      bed.node.sha256(101, "virtio1"),
      bed.node.sha256(105, "rootfs"),
    ];
    bed.node.destroyGuest(101);
    bed.node.destroyGuest(105);
    const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--all"]);
    assert.equal(status, 0, stderr);
    const after = [
      bed.node.sha256(101, "scsi0"),
      bed.node.sha256(101, "virtio1"),
      bed.node.sha256(105, "rootfs"),
    ];
    assert.deepEqual(after, before);
    assert.equal(bed.node.guest(101)?.status, "stopped");
    assert.deepEqual(bed.leftovers(), []);
    for (const argv of restoreCalls(bed)) assert.ok(!argv.includes("--force"), argv.join(" "));
  });
}

Deno.test("restore refuses a guest that exists and touches nothing", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--vmid", "101"]);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /^Cannot restore VM 101: it is running on node "pve1"; pass --force to stop and replace it/,
  );
  assert.equal(bed.node.guest(101)?.status, "running");
  assert.deepEqual(restoreCalls(bed), []);
});

Deno.test("restore --force stops, replaces and starts the guest again, and keeps its configuration in the report", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  bed.node.setConfig(101, { description: "changed since" });
  const digest = bed.node.sha256(101, "scsi0");
  const args = ["restore", "--from", bed.store, "--vmid", "101,105", "--force", "--json"];
  const { status, stderr, json } = await bed.run(args);
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.guest(101)?.status, "running");
  assert.equal(bed.node.guest(105)?.status, "running");
  assert.equal(bed.node.sha256(101, "scsi0"), digest);
  assert.equal(bed.node.guest(101)?.entries.description, undefined);
  const report = JSON.parse(Deno.readTextFileSync(json.at(-1).report));
  assert.match(report.guests[0].replaced.config, /^name: web$/m);
  assert.equal(report.guests[0].replaced.status, "running");
  assert.equal(Deno.statSync(json.at(-1).report).mode! & 0o777, 0o600);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore leaves a stopped guest stopped, and a template never started", async () => {
  await using bed = await makeBackedUpBed([{ ...VM, status: "stopped" }, {
    vmid: 109,
    name: "golden",
    template: true,
    status: "stopped",
  }]);
  const args = ["restore", "--from", bed.store, "--vmid", "101,109", "--force"];
  assert.equal((await bed.run(args)).status, 0);
  assert.equal(bed.node.guest(101)?.status, "stopped");
  assert.equal((await bed.run([...args, "--start", "always"])).status, 0);
  assert.equal(bed.node.guest(101)?.status, "running");
  assert.equal(bed.node.guest(109)?.status, "stopped");
});

Deno.test("restore --if-exists replace-same replaces the same guest, and refuses another under its vmid", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const args = ["restore", "--from", bed.store, "--vmid", "101", "--if-exists", "replace-same"];
  assert.equal((await bed.run(args)).status, 0);
  bed.node.destroyGuest(101);
  bed.node.addGuest({
    vmid: 101,
    name: "somebody-else",
    config: { smbios1: "uuid=11111111-2222-4333-8444-555555555555" },
  });
  const { status, stderr } = await bed.run(args);
  assert.equal(status, 1);
  assert.match(stderr, /"somebody-else", is not the one in the archive/);
  assert.equal(bed.node.guest(101)?.entries.name, "somebody-else");
});

Deno.test("restore --newid gives another vmid, new MAC addresses beside the original, and the pool", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const args = ["restore", "--from", bed.store, "--vmid", "101", "--pool", "prod"];
  assert.equal((await bed.run([...args, "--newid", "201"])).status, 0);
  assert.equal((await bed.run([...args, "--newid", "next"])).status, 0);
  const original = bed.node.guest(101)?.entries.net0;
  for (const vmid of [201, 100]) {
    const guest = bed.node.guest(vmid);
    assert.ok(guest, `no guest ${vmid}`);
    assert.equal(guest.pool, "prod");
    assert.notEqual(guest.entries.net0, original);
    assert.equal(bed.node.sha256(vmid, "scsi0"), bed.node.sha256(101, "scsi0"));
  }
});

Deno.test("restore puts a guest that is gone back into the pool it was in", async () => {
  await using bed = await makeBackedUpBed([{ ...VM, pool: "prod" }]);
  bed.node.destroyGuest(101);
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--all"]);
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.guest(101)?.pool, "prod");
  bed.node.destroyGuest(101);
  bed.node.change((state) => void (state.pools = {}));
  const without = await bed.run(["restore", "--from", bed.store, "--all"]);
  assert.equal(without.status, 0, without.stderr);
  assert.match(without.stderr, /Guest 101: it was in pool "prod", which does not exist here/);
});

Deno.test("restore refuses what a replace would destroy and the archive does not hold", async () => {
  await using bed = await makeBackedUpBed([
    { ...VM, sections: "[before]\ncores: 1\nsnaptime: 1700000000\n", config: { parent: "before" } },
    {
      ...CT,
      disks: [{ key: "rootfs", size: "1G" }, { key: "mp0", size: "1G", options: "mp=/data" }],
    },
  ]);
  const args = ["restore", "--from", bed.store, "--all", "--force"];
  const refused = await bed.run(args);
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /VM 101: the archive does not hold snapshot "before"; pass --destroy-excluded/,
  );
  assert.match(refused.stderr, /CT 105: the archive does not hold mp0 \(.*, 1024 MiB\)/);
  assert.deepEqual(restoreCalls(bed), []);
  assert.equal((await bed.run([...args, "--destroy-excluded"])).status, 0);
});

Deno.test("restore refuses protected and locked guests, the other kind, unknown storages and pools", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  const refusal = async (...flags: string[]) => {
    const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--force", ...flags]);
    assert.equal(status, 1, stderr);
    return stderr;
  };
  assert.match(
    await refusal("--vmid", "101", "--storage", "nowhere"),
    /storage "nowhere" does not exist.*local-lvm/,
  );
  assert.match(
    await refusal("--vmid", "105", "--storage", "local"),
    /storage "local" does not take containers/,
  );
  assert.match(
    await refusal("--vmid", "101", "--pool", "nopool"),
    /pool "nopool" does not exist; there are prod/,
  );
  assert.match(await refusal("--vmid", "101", "--newid", "105"), /vmid 105 belongs to CT 105 "mail"/);
  bed.node.setConfig(101, { protection: "1" });
  assert.match(await refusal("--vmid", "101"), /it is protected/);
  bed.node.setConfig(101, { protection: null, lock: "backup" });
  assert.match(await refusal("--vmid", "101"), /it is locked \(backup\)/);
  assert.deepEqual(restoreCalls(bed), []);
});

Deno.test("restore puts a container where containers may go when its storage is gone", async () => {
  await using bed = await makeBackedUpBed([{
    ...CT,
    disks: [{ key: "rootfs", size: "1G", storage: "local-lvm" }],
  }]);
  bed.node.destroyGuest(105);
  bed.node.change((state) => {
    state.storages["local-lvm"]!.content = "images";
    state.storages.big = { ...state.storages["local-lvm"]!, content: "rootdir" };
  });
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--vmid", "105"]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /it goes to "big"/);
  assert.match(bed.node.guest(105)?.entries.rootfs ?? "", /^big:/);
});

Deno.test("restore --dry-run prints the plan and changes nothing", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const calls = () => bed.node.calls().filter(({ tool }) => tool !== "pvesh").map(({ argv }) => argv[0]);
  const before = calls().length;
  const { status, stdout } = await bed.run([
    "restore",
    "--from",
    bed.store,
    "--vmid",
    "101",
    "--force",
    "--dry-run",
  ]);
  assert.equal(status, 0);
  assert.match(stdout, /running, the same guest/);
  assert.match(stdout, /scsi0, 8 MiB, on storage local-lvm/);
  assert.deepEqual(calls().slice(before), ["status"]);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore of a damaged archive changes nothing", async () => {
  await using bed = await makeBackedUpBed([VM], ["--backup-compression", "0"]);
  const { path, names } = bed.snapshot();
  const name = names.find((entry) => entry.endsWith(".vma")) as string;
  const bytes = Deno.readFileSync(`${path}/${name}`);
  const digest = bed.node.sha256(101, "scsi0");
  const cases: [string, Uint8Array][] = [
    ["a flipped data byte", bytes.with(bytes.length - 5000, bytes.at(-5000)! ^ 1)],
    ["a cut", bytes.slice(0, bytes.length - 5000)],
    ["nothing", new Uint8Array(0)],
  ];
  for (const [what, damaged] of cases) {
    Deno.writeFileSync(`${path}/${name}`, damaged);
    const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--vmid", "101", "--force"]);
    assert.ok([1, 5].includes(status), `${what}: ${status} ${stderr}`);
    assert.match(stderr, /Cannot restore/);
    assert.equal(bed.node.guest(101)?.status, "running");
    assert.equal(bed.node.sha256(101, "scsi0"), digest);
    assert.deepEqual(restoreCalls(bed), []);
    assert.deepEqual(bed.leftovers(), []);
    assert.equal((await bed.run(["verify", "--from", bed.store])).status, 5, what);
  }
});

Deno.test("restore starts the old guest again when the tool fails before it destroyed anything", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  for (const vmid of [101, 105]) bed.node.fault(vmid, { restoreFailsBeforeDestroy: "no quorum" });
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--all", "--force"]);
  assert.equal(status, 1);
  assert.match(stderr, /Cannot restore VM 101: .*no quorum.*intact and was started again/);
  for (const vmid of [101, 105]) assert.equal(bed.node.guest(vmid)?.status, "running");
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore says so when a replaced guest was lost, with its configuration in the report", async () => {
  await using bed = await makeBackedUpBed([VM, CT]);
  for (const vmid of [101, 105]) bed.node.fault(vmid, { restoreFailsAfterDestroy: "disk full" });
  const { status, stderr, stdout } = await bed.run(["restore", "--from", bed.store, "--all", "--force"]);
  assert.equal(status, 1);
  assert.match(stderr, /VM 101: .*disk full.*the guest that stood there is lost/);
  assert.match(stderr, /CT 105: .*the guest that stood there is lost/);
  const path = /the report is (.*)$/m.exec(stdout)?.[1] as string;
  const report = JSON.parse(Deno.readTextFileSync(path));
  assert.match(report.guests[0].replaced.config, /^scsi0: local-lvm:vm-101-disk-0/m);
  assert.deepEqual(bed.leftovers(), []);
});

Deno.test("restore removes the stub that a failed qmrestore leaves, but only its own", async () => {
  await using bed = await makeBackedUpBed([VM]);
  bed.node.destroyGuest(101);
  bed.node.fault(101, { restoreFailsAfterDestroy: "disk full" });
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--vmid", "101"]);
  assert.equal(status, 1);
  assert.match(stderr, /the empty guest that it left behind was removed/);
  assert.equal(bed.node.guest(101), undefined);
  const destroy = bed.node.calls().find(({ tool, argv }) => tool === "qm" && argv[0] === "destroy");
  assert.deepEqual(destroy?.argv, ["destroy", "101"]);
});

Deno.test("restore says when a guest is restored but does not start", async () => {
  await using bed = await makeBackedUpBed([VM]);
  bed.node.fault(101, { startFails: "no bridge vmbr0" });
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--vmid", "101", "--force"]);
  assert.equal(status, 3);
  assert.match(stderr, /VM 101 is restored, but not running: .*no bridge vmbr0/);
});

Deno.test("restore takes vzdump's own files, the newest by name", async () => {
  await using bed = await makeBackedUpBed([VM], ["--backup-compression", "0"]);
  const { path, names } = bed.snapshot();
  const plain = `${bed.node.dir}/plain`;
  Deno.mkdirSync(plain);
  const archive = `${path}/${names.find((name) => name.endsWith(".vma"))}`;
  Deno.copyFileSync(archive, `${plain}/vzdump-qemu-101-2024_05_06-07_08_09.vma`);
  Deno.writeTextFileSync(`${plain}/vzdump-qemu-101-2023_05_06-07_08_09.vma`, "an older one, broken");
  Deno.writeTextFileSync(`${plain}/notes.txt`, "mine");
  const digest = bed.node.sha256(101, "scsi0");
  bed.node.destroyGuest(101);
  const { status, stderr } = await bed.run(["restore", "--from", plain, "--vmid", "101"]);
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.sha256(101, "scsi0"), digest);
  assert.equal([...Deno.readDirSync(plain)].length, 3);
});
