import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { SimNode } from "./mod.ts";
import { names, only, run } from "./test_tools.ts";

const FIXTURES = new URL("../fixtures/vma/", import.meta.url).pathname;
const ONE_DISK = "1f21a3c7a3b0084472d183f1ea39a115adb65e14b847960c3134eff206b9036f";

/** sha256 of the raw disks in archives of the real `vma` program. */
const REAL_ARCHIVES: Record<string, Record<string, string>> = {
  "one-disk": { scsi0: ONE_DISK },
  "two-disks": { scsi0: ONE_DISK, scsi1: "c59493f223ccfa8859a435efe7b2a97a50a07884c5f19ba6b71a6b505bc7ea7a" },
  firewall: { scsi0: "c5d148d56e7dae9cc6829dd2ff26952419b724035fc2822ae38c688fe0bc9207" },
  diskless: {},
  "several-extents": { scsi0: "4ec624041fe629c73cef0f877d610b96fcdc84dae119376e8999202afb9334ba" },
};

for (const [name, disks] of Object.entries(REAL_ARCHIVES)) {
  Deno.test(`qmrestore restores the real archive ${name} with the right disks`, async () => {
    await using node = await SimNode.create();
    const archive = `${node.dir}/vzdump-qemu-${name}.vma.zst`;
    await Deno.copyFile(`${FIXTURES}${name}.vma.zst`, archive);
    const { code, stderr } = await run(node, "qmrestore", [archive, 300, "--storage", "local-lvm"]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    for (const [key, digest] of Object.entries(disks)) assert.equal(node.sha256(300, key), digest);
    assert.equal(node.guest(300)!.firewall !== undefined, name === "firewall");
  });
}

for (const compress of ["0", "gzip", "lzo", "zstd"]) {
  Deno.test(`vzdump and qmrestore bring back every disk with compress ${compress}`, async () => {
    const disks = [
      { key: "scsi0", size: "4M" },
      { key: "virtio1", size: 70144 },
      { key: "efidisk0", size: 540672 },
      { key: "tpmstate0", size: "1M" },
    ];
    await using node = await SimNode.create({
      guests: [{
        vmid: 101,
        name: "web",
        disks,
        config: { bios: "ovmf" },
        firewall: "[OPTIONS]\nenable: 1\n",
      }],
    });
    const dumped = await run(node, "vzdump", [101, "--compress", compress, "--dumpdir", node.dumpDir]);
    assert.equal(dumped.stderr, "");
    assert.equal(dumped.code, 0);
    const ending = { "0": ".vma", gzip: ".vma.gz", lzo: ".vma.lzo", zstd: ".vma.zst" }[compress]!;
    const restored = await run(node, "qmrestore", [only(node.dumpDir, ending), 201]);
    assert.equal(restored.stderr, "");
    assert.equal(restored.code, 0);
    for (const { key } of disks) assert.equal(node.sha256(201, key), node.sha256(101, key), key);
    const [before, after] = [node.guest(101)!, node.guest(201)!];
    assert.equal(after.entries.net0, before.entries.net0);
    assert.equal(after.entries.smbios1, before.entries.smbios1);
    assert.notEqual(after.entries.vmgenid, before.entries.vmgenid);
    assert.equal(after.firewall, before.firewall);
    assert.equal(after.lock, undefined);
  });
}

Deno.test("vzdump --stdout streams a VM into qmrestore -", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 101, status: "stopped" }] });
  const dumped = await run(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  assert.equal(dumped.code, 0);
  assert.equal(dumped.bytes.length % 512, 0);
  const restored = await run(node, "qmrestore", ["-", 201, "--unique", 1], { input: dumped.bytes });
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(node.sha256(201, "scsi0"), node.sha256(101, "scsi0"));
  assert.notEqual(node.guest(201)!.entries.net0, node.guest(101)!.entries.net0);
  assert.notEqual(node.guest(201)!.entries.smbios1, node.guest(101)!.entries.smbios1);
});

for (const compress of ["0", "zstd"]) {
  Deno.test(`vzdump and pct restore bring back the tree with compress ${compress}`, async () => {
    await using node = await SimNode.create({
      guests: [{ vmid: 105, kind: "lxc", name: "ct", firewall: "[OPTIONS]\n" }],
    });
    const dumped = await run(node, "vzdump", [105, "--compress", compress, "--dumpdir", node.dumpDir]);
    assert.equal(dumped.code, 0, dumped.stderr);
    const archive = only(node.dumpDir, compress === "0" ? ".tar" : ".tar.zst");
    const restored = await run(node, "pct", ["restore", 205, archive, "--storage", "local-lvm"]);
    assert.equal(restored.stderr, "");
    assert.equal(restored.code, 0);
    assert.equal(node.sha256(205, "rootfs"), node.sha256(105, "rootfs"));
    assert.equal(node.guest(205)!.entries.unprivileged, "1");
    assert.equal(node.guest(205)!.firewall, "[OPTIONS]\n");
  });
}

Deno.test("a container's mount points come back on their own volumes, the excluded one empty", async () => {
  const disks = [
    { key: "rootfs", size: "1G" },
    { key: "mp0", size: "1G", options: "mp=/data,backup=1" },
    { key: "mp1", size: "1G", options: "mp=/scratch" },
  ];
  await using node = await SimNode.create({
    guests: [{ vmid: 105, kind: "lxc", disks, config: { mp2: "/srv,mp=/srv" } }],
  });
  const dumped = await run(node, "vzdump", [105, "--dumpdir", node.dumpDir]);
  assert.equal(dumped.code, 0, dumped.stderr);
  assert.match(dumped.stdout, /including mount point mp0 \('\/data'\) in backup/);
  assert.match(dumped.stdout, /excluding volume mount point mp1 \('\/scratch'\) from backup \(disabled\)/);
  const args = ["restore", 205, only(node.dumpDir, ".tar"), "--storage", "local-lvm"];
  const restored = await run(node, "pct", args);
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(node.sha256(205, "mp0"), node.sha256(105, "mp0"));
  assert.deepEqual(names(node.volume(205, "mp1").path!), []);
  assert.equal(node.guest(205)!.entries.mp2, "/srv,mp=/srv");
});

Deno.test("a container's archive has the layout of PVE's tar", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 105, kind: "lxc" }] });
  const { bytes } = await run(node, "vzdump", [105, "--stdout", 1, "--dumpdir", node.dumpDir]);
  const text = (from: number, length: number) =>
    new TextDecoder("latin1").decode(bytes.subarray(from, from + length));
  assert.equal(text(0, 100).replace(/\0+$/, ""), "./etc/vzdump/PaxHeaders/pct.conf");
  assert.equal(text(156, 1), "x");
  assert.equal(text(257, 8), "ustar\x0000");
  assert.equal(text(1024, 100).replace(/\0+$/, ""), "./etc/vzdump/pct.conf");
  assert.equal(bytes.length % 10240, 0);
});

Deno.test("two dumps of one disk differ bytewise and restore to the same disk", async () => {
  await using node = await SimNode.create({
    guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "8M" }, { key: "scsi1", size: "4M" }] }],
  });
  const dump = async () => (await run(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir])).bytes;
  const [first, second] = [await dump(), await dump()];
  assert.equal(first.length, second.length);
  const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  assert.notEqual(digest(first.subarray(12800)), digest(second.subarray(12800)));
  for (const [vmid, input] of [[201, first], [202, second]] as const) {
    assert.equal((await run(node, "qmrestore", ["-", vmid], { input })).code, 0);
    assert.equal(node.sha256(vmid, "scsi1"), node.sha256(101, "scsi1"));
  }
});

Deno.test("a synthetic disk is verified on a discarding storage and not stored", async () => {
  const storages = [{ id: "discard", type: "dir", discard: true }];
  const disks = [{ key: "scsi0", size: "24M", synthetic: true }, {
    key: "scsi1",
    size: 1_000_000,
    synthetic: true,
  }];
  await using node = await SimNode.create({ storages, guests: [{ vmid: 101, disks }] });
  const { bytes } = await run(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  assert.ok(bytes.length > 25_000_000);
  const restored = await run(node, "qmrestore", ["-", 201, "--storage", "discard"], { input: bytes });
  assert.equal(restored.code, 0, restored.stderr);
  const volume = node.volume(201, "scsi0");
  assert.equal(volume.verified, true);
  assert.equal(volume.path, undefined);
  assert.equal(node.sha256(201, "scsi0"), node.sha256(101, "scsi0"));
  bytes[bytes.length - 5000]! ^= 1;
  const flipped = await run(node, "qmrestore", ["-", 202, "--storage", "discard"], { input: bytes });
  assert.equal(flipped.code, 255);
  assert.match(flipped.stdout, /is not what the generator makes/);
});

Deno.test("a synthetic container survives the same way", async () => {
  const storages = [{ id: "discard", type: "dir", discard: true }];
  const disks = [{ key: "rootfs", size: "12M", synthetic: true }];
  await using node = await SimNode.create({ storages, guests: [{ vmid: 105, kind: "lxc", disks }] });
  const { bytes } = await run(node, "vzdump", [
    105,
    "--stdout",
    1,
    "--compress",
    "zstd",
    "--dumpdir",
    node.dumpDir,
  ]);
  const archive = `${node.dir}/x.tar.zst`;
  await Deno.writeFile(archive, bytes);
  const listed = await new Deno.Command("tar", { args: ["-tf", archive] }).output();
  assert.match(new TextDecoder().decode(listed.stdout), /^\.\/data\.bin$/m);
  const restored = await run(node, "pct", ["restore", 205, archive, "--storage", "discard"]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(node.volume(205, "rootfs").verified, true);
});
