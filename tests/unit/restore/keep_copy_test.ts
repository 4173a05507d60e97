import assert from "node:assert/strict";
import type { GuestSpec } from "../../pve/mod.ts";
import { dumpAndRestore } from "./dumped.ts";
import { reasonsOf } from "./surroundings.ts";

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  disks: [{ key: "scsi0", size: "4M" }, { key: "scsi1", size: "1M", options: "backup=0" }],
  config: { onboot: "1", description: "the shop", tags: "prod" },
};
const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  disks: [{ key: "rootfs", size: "1G" }, { key: "mp0", size: "1G", options: "mp=/data" }],
  config: { onboot: "1" },
};
const KEEP = { ifExists: "keep-copy" } as const;

for (const guest of [VM, CT]) {
  const [vmid, disk, other] = guest === VM ? [101, "scsi0", "scsi1"] : [105, "rootfs", "mp0"];
  const tool = guest === VM ? "qm" : "pct";

  Deno.test(`restore() keeps a full copy of the ${tool} guest that it replaces, not started at boot`, async () => {
    let before: string[] = [];
    let config = "";
    await using done = await dumpAndRestore({
      guests: [guest],
      settings: KEEP,
      // What stands there is no longer what the archive holds.
      afterPlan: (sim) => {
        before = [disk, other].map((key) => sim.sha256(vmid, key));
        config = sim.guest(vmid)!.config;
      },
    });
    const { sim, entry, plan } = done;
    assert.deepEqual([entry.outcome, entry.error, plan.refusals], ["good", undefined, []]);
    assert.deepEqual(entry.copy, { vmid: 100, kind: guest.kind ?? "qemu", node: "pve1" });
    assert.deepEqual([disk, other].map((key) => sim.sha256(100, key)), before);
    const copy = sim.guest(100)!;
    assert.deepEqual([copy.entries.onboot, copy.status, copy.lock], ["0", "stopped", undefined]);
    assert.equal(copy.entries.tags, /^tags: (.*)$/m.exec(config)?.[1]);
    assert.notEqual(copy.entries.net0, sim.guest(vmid)!.entries.net0);
    assert.equal(sim.guest(vmid)?.status, "running");
    const steps = done.done.map((call) => call.split(" ").slice(0, 2).join(" "));
    const restoring = guest === VM ? /^qmrestore/ : /^pct restore/;
    assert.deepEqual(steps.map((step) => restoring.test(step) ? "restore" : step), [
      `${tool} shutdown`,
      `${tool} clone`,
      `${tool} set`,
      "restore",
      `${tool} start`,
    ]);
    assert.match(
      done.notes.join("\n"),
      /: (VM|CT) 100 on node "pve1" is a full copy of the guest that stood there/,
    );
  });

  Deno.test(`restore() replaces nothing when the copy of a ${tool} guest fails, and starts it again`, async () => {
    await using done = await dumpAndRestore({
      guests: [guest],
      settings: KEEP,
      afterPlan: (sim) => sim.fault(vmid, { cloneFails: "no space left on device" }),
    });
    const { sim, entry } = done;
    assert.equal(entry.outcome, "failed");
    assert.match(
      entry.error ?? "",
      /^Cannot copy (VM|CT) \d+: clone failed: no space left.*intact and was started again$/,
    );
    assert.deepEqual([entry.copy, sim.guest(100), sim.guest(vmid)?.status], [
      undefined,
      undefined,
      "running",
    ]);
    assert.equal(sim.guest(vmid)?.lock, undefined);
    assert.ok(!done.done.some((call) => /restore/.test(call)), done.done.join("\n"));
  });

  Deno.test(`restore() names the copy when the restore of a ${tool} guest loses the original`, async () => {
    await using done = await dumpAndRestore({
      guests: [guest],
      settings: KEEP,
      afterPlan: (sim) => sim.fault(vmid, { restoreFailsAfterDestroy: "disk full" }),
    });
    assert.match(
      done.entry.error ?? "",
      /disk full; the guest that stood there is lost, but (VM|CT) 100 is a full copy of it; .*restore it again/,
    );
    assert.ok(done.sim.guest(100)?.entries[disk]);
    assert.equal(done.entry.copy?.vmid, 100);
  });

  Deno.test(`restore() says that a copy stays when the ${tool} guest was left intact`, async () => {
    await using done = await dumpAndRestore({
      guests: [guest],
      settings: KEEP,
      afterPlan: (sim) => sim.fault(vmid, { restoreFailsBeforeDestroy: "no quorum" }),
    });
    assert.match(done.entry.error ?? "", /intact and was started again; its copy (VM|CT) 100 stays$/);
    assert.equal(done.sim.guest(vmid)?.status, "running");
  });
}

Deno.test("restore() replaces nothing when the vmid of the copy was taken since the plan", async () => {
  await using done = await dumpAndRestore({
    guests: [VM],
    settings: KEEP,
    afterPlan: (sim) => sim.addGuest({ vmid: 100, name: "latecomer" }),
  });
  assert.match(done.entry.error ?? "", /unable to create VM 100: config file already exists.*started again$/);
  assert.equal(done.sim.guest(100)?.entries.name, "latecomer");
  assert.equal(done.sim.guest(101)?.status, "running");
});

Deno.test("restore() replaces nothing when the original was started while it was copied", async () => {
  await using done = await dumpAndRestore({
    guests: [VM],
    settings: KEEP,
    // A VM is not locked while it is cloned, and somebody is quick.
    afterPlan: (sim) => {
      sim.fault(101, { cloneMs: 1500 });
      const timer = setInterval(() => {
        if (!sim.state().guests[100]) return;
        clearInterval(timer);
        sim.startGuest(101);
      }, 50);
    },
  });
  assert.match(
    done.entry.error ?? "",
    /it was changed or started while it was copied; .*untouched; its copy VM 100/,
  );
  assert.equal(done.sim.guest(101)?.status, "running");
});

Deno.test("planRestores() takes no vmid for a copy that another archive goes to", async () => {
  await using done = await dumpAndRestore({
    guests: [{ ...VM, vmid: 100 }, { ...VM, vmid: 101, name: "db" }],
    vmids: [100, 101],
    settings: KEEP,
    carriesOut: false,
    beforePlan: (sim) => sim.destroyGuest(101),
  });
  assert.deepEqual(done.plans.map(({ action, copy }) => [action, copy?.vmid]), [["replace", 102], [
    "create",
    undefined,
  ]]);
});

Deno.test("planRestores() says where a copy needs more than there is, and what cannot be copied", async () => {
  await using full = await dumpAndRestore({
    guests: [{ ...CT, config: { mp2: "/srv/host,mp=/host" } }],
    settings: KEEP,
    carriesOut: false,
    beforePlan: (sim) => sim.change((state) => state.storages["local-lvm"]!.total = 3 * 1024 ** 3),
  });
  assert.deepEqual(full.plan.copy?.disks.map(({ key }) => key).sort(), ["mp0", "mp2", "rootfs"]);
  assert.match(
    full.plan.warnings.join("\n"),
    /its copy takes up to 2 GiB of storage "local-lvm", which has 1 GiB/,
  );
  assert.deepEqual(reasonsOf(full.plan), ["Proxmox cannot copy a guest with mp2 (/srv/host)"]);
});

Deno.test("planRestores() counts what a copy holds as kept, but not snapshots and unused disks", async () => {
  await using done = await dumpAndRestore({
    guests: [CT],
    settings: KEEP,
    carriesOut: false,
    beforePlan: (sim) =>
      sim.change((state) => {
        state.guests[105]!.config += "unused0: local-lvm:vm-105-disk-9\n\n[old]\nhostname: mail\n";
      }),
  });
  assert.deepEqual(done.plan.destroys, ['snapshot "old"', "unused0 (local-lvm:vm-105-disk-9)"]);
});
