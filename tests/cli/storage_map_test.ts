import assert from "node:assert/strict";
import { makeBed } from "./harness.ts";

const STORAGES = ["fast", "big", "slow"].map((id) => ({ id, type: "dir", content: "images,rootdir" }));
const VM = {
  vmid: 101,
  name: "web",
  disks: ["scsi0", "scsi1"].map((key) => ({ key, size: "2M", storage: "fast" })),
};
const CT = {
  vmid: 105,
  kind: "lxc" as const,
  name: "mail",
  disks: [
    { key: "rootfs", size: "1G", storage: "fast" },
    { key: "mp0", size: "1G", storage: "fast", options: "mp=/data,backup=1" },
  ],
};

Deno.test("restore --storage takes a storage for each disk, and shows and does what it says", async () => {
  await using bed = await makeBed({ storages: STORAGES, guests: [VM, CT] });
  const backup = await bed.run(["backup", "--all", "--to", bed.store]);
  assert.equal(backup.status, 0, backup.stderr);
  for (const vmid of [101, 105]) bed.node.destroyGuest(vmid);
  const restore = (...flags: string[]) => bed.run(["restore", "--from", bed.store, "--all", ...flags]);

  const unknown = await restore("--storage", "scsi0=big,mp7=slow");
  assert.equal(unknown.status, 1);
  assert.match(
    unknown.stderr,
    /^Cannot restore CT 105: the archive has no disk "mp7".*; there are rootfs, mp0/,
  );
  const missing = await restore("--storage", "scsi0=nowhere");
  assert.match(
    missing.stderr,
    /storage "nowhere" does not exist on node "pve1"; give another with --storage/,
  );
  const nonsense = await restore("--storage", "disk0=big");
  assert.equal(nonsense.status, 2);
  assert.match(nonsense.stderr, /"disk0=big" is neither/);

  const map = ["--storage", "slow,scsi0=big,mp0=fast"];
  const dry = await restore(...map, "--dry-run");
  for (
    const line of [
      "scsi0, 2 MiB, on storage big",
      "scsi1, 2 MiB, on storage slow",
      "mp0, 1 GiB, on storage fast",
    ]
  ) {
    assert.ok(dry.stdout.includes(line), dry.stdout);
  }
  assert.match(dry.stdout, /staging +decompressed/);
  assert.equal(bed.node.guest(101), undefined);

  const { status, stderr } = await restore(...map);
  assert.equal(status, 0, stderr);
  const place = (vmid: number, key: string) => bed.node.guest(vmid)?.entries[key]?.split(":")[0];
  assert.deepEqual([place(101, "scsi0"), place(101, "scsi1")], ["big", "slow"]);
  assert.deepEqual([place(105, "rootfs"), place(105, "mp0")], ["slow", "fast"]);
  assert.deepEqual(bed.leftovers(), []);
});
