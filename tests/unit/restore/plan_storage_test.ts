import assert from "node:assert/strict";
import type { Storage } from "../../../src/proxmox/cluster.ts";
import { around, CT_DISKS, GIB, planOf, reasonsOf, storage, VM_DISKS, wish } from "./surroundings.ts";

const at = (...storages: Storage[]) => around({ storages });
const fast = (given: Partial<Storage> = {}) => storage("fast", given);
const everywhere = (others: string) => ({ others, disks: {} });
const pool = (given: Partial<Storage> = {}) => storage("pool", given);

Deno.test("planRestores() leaves each disk of a VM where it came from", () => {
  const disks = [...VM_DISKS, { key: "scsi1", size: GIB, storage: "pool" }];
  const plan = planOf(wish("qemu", { disks }));
  assert.equal(plan.storage, undefined, "qmrestore gets no --storage");
  assert.deepEqual(plan.disks, disks);
  assert.deepEqual(plan.refusals, []);
});

Deno.test("planRestores() puts all disks on the storage that is given", () => {
  for (const kind of ["qemu", "lxc"] as const) {
    const plan = planOf(wish(kind), at(storage("big")), { storage: everywhere("big") });
    assert.equal(plan.storage, "big");
    assert.deepEqual(plan.disks.map((disk) => disk.storage), ["big"]);
    assert.deepEqual([plan.refusals, plan.warnings], [[], []]);
  }
});

Deno.test("planRestores() refuses a VM's storage that is missing, disabled, inactive or of other content", () => {
  const refusals = (there: Storage[]) => planOf(wish("qemu"), at(...there)).refusals;
  const other = storage("other");
  assert.deepEqual(refusals([other]), [
    { reason: 'storage "fast" does not exist on node "pve1"', hint: "give another with --storage: other" },
  ]);
  assert.deepEqual(refusals([fast({ enabled: false }), other])[0]?.reason, 'storage "fast" is disabled');
  assert.deepEqual(
    refusals([fast({ content: ["iso", "rootdir"] })]),
    [{
      reason: 'storage "fast" does not take disks of VMs (content type images)',
      hint: "give another with --storage",
    }],
  );
  assert.deepEqual(
    refusals([fast({ active: false, available: undefined })])[0]?.reason,
    'storage "fast" is not active',
  );
});

Deno.test("planRestores() refuses a given storage that does not fit", () => {
  const plan = planOf(wish("lxc"), at(pool(), storage("vms", { content: ["images"] })), {
    storage: everywhere("vms"),
  });
  assert.deepEqual(plan.refusals, [
    {
      reason: 'storage "vms" does not take containers (content type rootdir)',
      hint: "give another with --storage: pool",
    },
  ]);
  assert.match(
    reasonsOf(planOf(wish("qemu"), at(fast()), { storage: everywhere("none") }))[0] ?? "",
    /"none" does not exist/,
  );
});

Deno.test("planRestores() tells of each bad storage once, however many disks are on it", () => {
  const disks = ["scsi0", "scsi1", "scsi2"].map((key) => ({ key, size: GIB, storage: "gone" }));
  assert.equal(planOf(wish("qemu", { disks })).refusals.length, 1);
});

Deno.test("planRestores() asks for a storage where the archive does not tell a VM's", () => {
  const disks = [...VM_DISKS, { key: "scsi1", size: GIB }];
  assert.deepEqual(planOf(wish("qemu", { disks })).refusals, [
    { reason: 'the archive does not say on which storage disk "scsi1" was', hint: "give one with --storage" },
  ]);
  assert.deepEqual(planOf(wish("qemu", { disks }), around(), { storage: everywhere("fast") }).refusals, []);
});

Deno.test("planRestores() restores a VM without disks anywhere", () => {
  assert.deepEqual(planOf(wish("qemu", { disks: [] }), at()).refusals, []);
});

Deno.test("planRestores() always gives a container a storage: the one of its rootfs", () => {
  const plan = planOf(wish("lxc"));
  assert.equal(plan.storage, "pool");
  assert.deepEqual([plan.refusals, plan.warnings], [[], []]);
});

Deno.test("planRestores() says which mount points move to the storage of the rootfs", () => {
  const disks = [...CT_DISKS, { key: "mp0", size: GIB, storage: "fast" }, { key: "mp1", size: GIB }];
  const plan = planOf(wish("lxc", { disks }));
  assert.deepEqual(plan.disks.map((disk) => disk.storage), ["pool", "pool", "pool"]);
  assert.deepEqual(plan.warnings, [
    'mp0 was on storage "fast" and goes to "pool" with the rootfs',
    'mp1 was on storage "unknown" and goes to "pool" with the rootfs',
  ]);
});

Deno.test("planRestores() falls back on the roomiest storage that takes containers, and says so", () => {
  const roomy = storage("roomy", { available: 50 * GIB });
  const unknown = storage("unknown", { available: undefined });
  const vmsOnly = storage("vms", { available: 900 * GIB, content: ["images"] });
  const off = storage("off", { available: undefined, active: false });
  for (const lost of [[], [pool({ enabled: false })], [pool({ content: ["images"] })]]) {
    const plan = planOf(
      wish("lxc"),
      at(unknown, off, vmsOnly, storage("small", { available: GIB }), roomy, ...lost),
    );
    assert.equal(plan.storage, "roomy");
    assert.deepEqual(plan.refusals, []);
    assert.match(plan.warnings.join(), /^the rootfs was on storage "pool", .*; it goes to "roomy"$/);
  }
});

Deno.test("planRestores() refuses a container where no storage takes it", () => {
  const none = {
    reason: 'no storage of node "pve1" takes containers',
    hint: 'allow the content type "rootdir" on one',
  };
  const vmsOnly = storage("vms", { content: ["images"] });
  const [rootfs] = CT_DISKS.map(({ key, size }) => ({ key, size }));
  assert.deepEqual(planOf(wish("lxc", { disks: [rootfs!] }), at(vmsOnly)).refusals, [none]);
});

Deno.test("planRestores() refuses to move a container whose storage is only not mounted for now", () => {
  const { refusals, storage: id } = planOf(wish("lxc"), at(storage("roomy"), pool({ active: false })));
  assert.equal(id, "pool");
  assert.deepEqual(refusals.map(({ reason }) => reason), ['storage "pool" is not active']);
});

Deno.test("planRestores() warns of a storage with less room than the disks have, but goes on", () => {
  const disks = [{ key: "scsi0", size: 6 * GIB, storage: "fast" }, {
    key: "scsi1",
    size: 5 * GIB,
    storage: "fast",
  }];
  const plan = planOf(wish("qemu", { disks }), at(fast({ available: 10 * GIB })));
  assert.deepEqual(plan.refusals, []);
  assert.deepEqual(plan.warnings, [
    'the disks have 11 GiB in all, storage "fast" has 10 GiB free',
  ]);
  assert.deepEqual(planOf(wish("qemu", { disks }), at(fast({ available: 11 * GIB }))).warnings, []);
});
