import assert from "node:assert/strict";
import type { ArchiveDisk } from "../../../src/archive/contents.ts";
import type { PlannedRestore } from "../../../src/restore/plan.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import { planLines } from "../../../src/restore/plan_text.ts";
import { around, GIB, planOf, reasonsOf, SETTINGS, storage, VM_CONFIG, wish } from "./surroundings.ts";

const MIB = 1024 ** 2;
const STORAGES = around({ storages: ["fast", "pool", "big", "slow"].map((id) => storage(id)) });
const VM_DISKS: ArchiveDisk[] = [
  { key: "scsi0", size: 8 * GIB, storage: "fast" },
  { key: "efidisk0", size: 528 * 1024, storage: "fast" },
  { key: "tpmstate0", size: 4 * MIB, storage: "pool" },
];
const CT_CONFIG = {
  hostname: "mail",
  rootfs: "pool:vm-105-disk-0,acl=1,size=4G",
  mp0: "pool:vm-105-disk-1,mp=/data,backup=1,mountoptions=noatime;nodev,size=1025M",
  mp1: "fast:vm-105-disk-2,mp=/cache,size=1G",
  mp2: "/srv/host,mp=/host,ro=1",
  mp3: "/dev/sdb1,mp=/disk,backup=1",
  unused0: "pool:vm-105-disk-9",
};
const CT_DISKS: ArchiveDisk[] = [
  { key: "rootfs", size: 4 * GIB, storage: "pool" },
  { key: "mp0", size: 1025 * MIB, storage: "pool" },
];

const vm = wish("qemu", { disks: VM_DISKS });
const ct = wish("lxc", { config: CT_CONFIG, disks: CT_DISKS });
const placesOf = (plan: PlannedRestore) => plan.disks.map(({ key, storage }) => `${key} ${storage}`);

Deno.test("planRestores() puts the named disks of a VM where the map says, and the others where they were", () => {
  const plan = planOf(vm, STORAGES, { storage: { disks: { scsi0: "big", tpmstate0: "slow" } } });
  assert.deepEqual(placesOf(plan), ["scsi0 big", "efidisk0 fast", "tpmstate0 slow"]);
  assert.equal(plan.storage, undefined, "qmrestore would put all of them on it");
  assert.deepEqual(plan.storages, { disks: { scsi0: "big", tpmstate0: "slow" } });
  assert.deepEqual([plan.refusals, plan.warnings], [[], []]);
});

Deno.test("planRestores() puts disks that the map does not name on its default", () => {
  const plan = planOf(vm, STORAGES, { storage: { others: "big", disks: { tpmstate0: "slow" } } });
  assert.deepEqual(placesOf(plan), ["scsi0 big", "efidisk0 big", "tpmstate0 slow"]);
  assert.deepEqual([plan.storage, plan.refusals], [undefined, []]);
});

Deno.test("planRestores() counts a cloud-init drive among the disks, wherever it goes", () => {
  const config = {
    ...VM_CONFIG,
    ide2: "fast:vm-101-cloudinit,media=cdrom",
    ide0: "local:iso/x.iso,media=cdrom",
  };
  const cloud = { ...vm, config };
  const last = (plan: PlannedRestore) => plan.disks.at(-1);
  assert.deepEqual(last(planOf(cloud, STORAGES)), { key: "ide2", size: 4 * MIB, storage: "fast" });
  const mapped = planOf(cloud, STORAGES, { storage: { disks: { ide2: "slow" } } });
  assert.deepEqual([last(mapped)?.storage, mapped.refusals], ["slow", []]);
  const gone = planOf({ ...cloud, disks: [] }, around({ storages: [storage("slow")] }));
  assert.deepEqual(reasonsOf(gone), ['storage "fast" does not exist on node "pve1"']);
});

Deno.test("planRestores() gives the tool every volume of a container with all of its options", () => {
  const plan = planOf(ct, STORAGES, { storage: { disks: { rootfs: "big", mp0: "slow" } } });
  assert.deepEqual(plan.volumes, {
    rootfs: "big:4,acl=1",
    mp0: "slow:2,mp=/data,backup=1,mountoptions=noatime;nodev",
    mp1: "fast:1,mp=/cache",
  });
  assert.deepEqual(plan.hostMounts, { mp2: CT_CONFIG.mp2, mp3: CT_CONFIG.mp3 });
  assert.deepEqual(plan.disks, [
    { key: "rootfs", size: 4 * GIB, storage: "big" },
    { key: "mp0", size: 2 * GIB, storage: "slow" },
    { key: "mp1", size: GIB, storage: "fast" },
  ]);
  assert.deepEqual([plan.storage, plan.refusals], [undefined, []]);
  assert.deepEqual(plan.warnings, ["mp1 is not in the archive and comes back empty"]);
});

Deno.test("planRestores() leaves a container on one storage to the tool", () => {
  const plan = planOf(ct, STORAGES, { storage: { others: "big", disks: {} } });
  assert.deepEqual([plan.storage, plan.volumes, plan.hostMounts], ["big", undefined, undefined]);
  assert.deepEqual(placesOf(plan), ["rootfs big", "mp0 big", "mp1 big"]);
  assert.deepEqual(plan.warnings, ["mp1 is not in the archive and comes back empty"]);
});

Deno.test("planRestores() refuses a disk in the map that the archive does not hold, and says what there is", () => {
  const refused = planOf(vm, STORAGES, { storage: { others: "big", disks: { scsi7: "fast" } } }).refusals;
  assert.deepEqual(refused, [{
    reason: 'the archive has no disk "scsi7", which is to go to storage "fast"',
    hint: "there are scsi0, efidisk0, tpmstate0",
  }]);
  for (const key of ["mp2", "mp9"]) {
    const reasons = reasonsOf(planOf(ct, STORAGES, { storage: { disks: { rootfs: "big", [key]: "fast" } } }));
    assert.deepEqual(reasons, [`the archive has no disk "${key}", which is to go to storage "fast"`]);
  }
  const none = planOf({ ...vm, disks: [] }, STORAGES, { storage: { disks: { scsi0: "fast" } } });
  assert.equal(none.refusals[0]?.hint, "it has no disks");
});

Deno.test("planRestores() takes one map for VMs and containers, but none that says nothing of the guest", () => {
  const map = { disks: { scsi0: "big", rootfs: "slow" } };
  for (const one of [vm, ct]) assert.deepEqual(planOf(one, STORAGES, { storage: map }).refusals, []);
  const rootfsOnly = { storage: { disks: { rootfs: "slow" } } };
  assert.match(reasonsOf(planOf(vm, STORAGES, rootfsOnly)).join(), /^the archive has no disk "rootfs"/);
  assert.deepEqual(
    planOf(vm, STORAGES, { storage: { others: "big", disks: { rootfs: "slow" } } }).storage,
    "big",
  );
  const both = planRestores([vm, ct], STORAGES, { ...SETTINGS, ...rootfsOnly });
  assert.deepEqual(both.map(({ refusals }) => refusals), [[], []]);
  assert.deepEqual(placesOf(both[0]!), ["scsi0 fast", "efidisk0 fast", "tpmstate0 pool"]);
});

Deno.test("planRestores() refuses a disk of the map only where no archive of the run has it", () => {
  const other = wish("qemu", {
    target: 102,
    config: { ...vm.config, scsi0: "", virtio0: "fast:vm-102-disk-0,size=8G" },
    disks: [{ key: "virtio0", size: GIB, storage: "fast" }],
  });
  const planned = (disks: Record<string, string>) =>
    planRestores([vm, other], STORAGES, { ...SETTINGS, storage: { disks } });
  const both = planned({ scsi0: "big", virtio0: "slow" });
  assert.deepEqual(both.map(({ refusals }) => refusals), [[], []]);
  assert.deepEqual(placesOf(both[1]!), ["virtio0 slow"]);
  assert.deepEqual(planned({ scsi0: "big", scsi9: "slow" }).map(({ refusals }) => refusals.length), [1, 1]);
  // One of the other kind may be meant for an archive that comes later.
  const mixed = planOf(vm, STORAGES, { storage: { disks: { scsi0: "big", mp0: "slow" } } });
  assert.deepEqual(mixed.refusals, []);
  assert.match(mixed.warnings.join(), /no archive has a disk "mp0"/);
});

Deno.test("planRestores() counts the staging space of an archive that is staged without its compression", () => {
  const compressed = { ...vm, compression: "zstd" as const };
  const staging = (storage: { disks: Record<string, string>; others?: string }) =>
    planOf(compressed, STORAGES, { storage }).space.find(({ where }) => where === "staging")?.needed;
  const whole = vm.disks.reduce((sum, { size }) => sum + size, 0);
  assert.equal(staging({ disks: { scsi0: "big" } }), Math.max(whole, vm.archive.bytes));
  assert.equal(staging({ disks: {}, others: "big" }), vm.archive.bytes);
});

Deno.test("planRestores() refuses storages of the map that are missing, disabled or of other content", () => {
  const there = around({
    storages: [
      storage("fast"),
      storage("pool"),
      storage("off", { enabled: false }),
      storage("isos", { content: ["iso"] }),
    ],
  });
  const disks = { scsi0: "none", efidisk0: "off", tpmstate0: "isos" };
  assert.deepEqual(reasonsOf(planOf(vm, there, { storage: { disks } })), [
    'storage "none" does not exist on node "pve1"',
    'storage "off" is disabled',
    'storage "isos" does not take disks of VMs (content type images)',
  ]);
  const images = around({ storages: [storage("pool"), storage("fast", { content: ["images"] })] });
  assert.deepEqual(reasonsOf(planOf(ct, images, { storage: { disks: { mp0: "pool" } } })), [
    'storage "fast" does not take containers (content type rootdir)',
  ]);
});

Deno.test("planRestores() sums the disks of each storage of the map, where its free space is known", () => {
  const warnings = (available: number | undefined) =>
    planOf(ct, around({ storages: [storage("big", { available }), storage("fast")] }), {
      storage: { others: "big", disks: { mp1: "fast" } },
    }).warnings.slice(1);
  assert.deepEqual(warnings(6 * GIB), []);
  assert.deepEqual(warnings(6 * GIB - 1), [
    'the disks have 6 GiB in all, storage "big" has 6 GiB free',
  ]);
  assert.deepEqual(warnings(undefined), []);
});

Deno.test("planRestores() refuses a container on several storages whose volumes have no known size or storage", () => {
  const config = { ...CT_CONFIG, rootfs: "/srv/root", mp0: "pool:vm-105-disk-1,mp=/data,backup=1" };
  const plan = planOf({ ...ct, config }, STORAGES, { storage: { disks: { mp0: "fast" } } });
  assert.deepEqual(reasonsOf(plan), [
    'the archive does not say how large volume "mp0" was',
    "the rootfs in the archive is no volume of a storage",
  ]);
});

Deno.test("planLines() shows where each disk goes, mounts from the host, and an archive that is unpacked", () => {
  const lines = planLines([
    planOf({ ...vm, compression: "zstd" }, STORAGES, { storage: { disks: { scsi0: "big" } } }),
    planOf(ct, STORAGES, { storage: { disks: { rootfs: "big" } } }),
  ]);
  for (
    const line of [
      "    disk      scsi0, 8 GiB, on storage big",
      "    disk      efidisk0, 528 KiB, on storage fast",
      "    staging   decompressed, since the storages are written into the archive",
      "    disk      rootfs, 4 GiB, on storage big",
      "    disk      mp0, 2 GiB, on storage pool",
      "    mount     mp2, /srv/host,mp=/host,ro=1",
    ]
  ) assert.ok(lines.includes(line), `${line}\n${lines.join("\n")}`);
});
