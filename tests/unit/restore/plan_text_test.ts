import assert from "node:assert/strict";
import type { RestoreSettings } from "../../../src/restore/plan.ts";
import { planLines } from "../../../src/restore/plan_text.ts";
import {
  around,
  CT_CONFIG,
  GIB,
  planOf,
  standing,
  storage,
  VM_CONFIG,
  wish,
} from "../restore/surroundings.ts";

Deno.test("planLines() shows a restore beside all others", () => {
  assert.deepEqual(planLines([planOf(wish("qemu"))]), [
    'VM 101 "web"  <-  vzdump-qemu-101-x.vma, 1 GiB',
    "    target    new on node pve1",
    "    disk      scsi0, 8 GiB, on storage fast",
    "    space     storage fast: 8 GiB needed, 100 GiB free",
    "    space     staging: 1 GiB needed, free space unknown",
  ]);
});

Deno.test("planLines() shows all that a replace does", () => {
  const config = { ...CT_CONFIG, mp0: "pool:vm-105-disk-1,mp=/data,size=1G" };
  const there = around({ standing: [standing("lxc", { config, snapshots: ["old"] })] });
  const plan = planOf(wish("lxc"), there, {
    ifExists: "replace",
    destroyExcluded: true,
    pool: "prod",
    unique: "true",
  });
  assert.deepEqual(planLines([plan]), [
    'CT 105 "mail"  <-  vzdump-lxc-105-x.tar, 1 GiB',
    '    target    CT "mail" stands there (running, the same guest) and is shut down, is replaced, is started again',
    "    disk      rootfs, 4 GiB, on storage pool",
    "    space     storage pool: 4 GiB needed, 100 GiB free",
    "    space     staging: 1 GiB needed, free space unknown",
    "    pool      prod",
    "    network   new MAC addresses",
    '    destroys  snapshot "old"',
    "    destroys  mp0 (pool:vm-105-disk-1, 1024 MiB)",
  ]);
});

Deno.test("planLines() warns of a replace of another guest", () => {
  const there = standing("qemu", { status: "stopped", config: { name: "db" }, guest: { name: "db" } });
  const lines = planLines([planOf(wish("qemu"), around({ standing: [there] }), { ifExists: "replace" })]);
  assert.equal(lines[1], '    target    VM "db" stands there (stopped, ANOTHER guest) and is replaced');
});

Deno.test("planLines() shows kept disks, warnings and refusals", () => {
  const config = { ...VM_CONFIG, scsi1: "fast:vm-101-disk-1,size=2G" };
  const disks = [{ key: "scsi0", size: 900 * GIB, storage: "fast" }, { key: "efidisk0", size: 0 }];
  const there = around({ standing: [standing("qemu", { config, status: "stopped" })] });
  assert.deepEqual(planLines([planOf(wish("qemu", { disks }), there)]).slice(2), [
    "    disk      scsi0, 900 GiB, on storage fast",
    "    disk      efidisk0, size unknown, on storage ?",
    "    space     storage fast: 900 GiB needed, 100 GiB free",
    "    space     staging: 1 GiB needed, free space unknown",
    "    keeps     scsi1 (fast:vm-101-disk-1) as an unused disk",
    '    warning   the disks have 900 GiB in all, storage "fast" has 100 GiB free',
    '    REFUSED   Cannot restore VM 101: the archive does not say on which storage disk "efidisk0" was; give one with --storage',
    '    REFUSED   Cannot restore VM 101: it exists on node "pve1"; pass --force to replace it, or --newid next for another vmid',
  ]);
});

Deno.test("planLines() names the snapshot of an archive, and a target that nobody knows by ?", () => {
  const one = wish("qemu", { target: undefined });
  const archive = { ...one.archive, snapshot: "2026-01-31T12-00-00Z-01234567" };
  const [first, ...others] = planLines([planOf({ ...one, archive })]);
  assert.equal(
    first,
    'VM ? "web"  <-  vzdump-qemu-101-x.vma of snapshot 2026-01-31T12-00-00Z-01234567, 1 GiB',
  );
  assert.match(others.at(-1) ?? "", /REFUSED .*its name does not tell a vmid; give one with --newid$/);
});

Deno.test("planLines() shows one block after the other", () => {
  assert.equal(
    planLines([planOf(wish("qemu")), planOf(wish("lxc"))]).filter((line) => !line.startsWith(" ")).length,
    2,
  );
  assert.deepEqual(planLines([]), []);
});

Deno.test("planLines() names the node of a replace where the guests are restored on several", () => {
  const others = { pve2: [storage("fast")] };
  const there = around({ standing: [standing("qemu", { guest: { node: "pve2" } })], others });
  const plans = [planOf(wish("qemu"), there, { ifExists: "replace" }), planOf(wish("lxc"))];
  const targets = planLines(plans).filter((line) => line.startsWith("    target"));
  assert.match(targets[0] ?? "", /VM "web" stands there on node pve2 \(running, the same guest\) and is/);
  assert.match(targets[1] ?? "", /new on node pve1$/);
});

Deno.test("planLines() shows the copy that is kept, and what becomes of the HA resource", () => {
  const there = (ha: "started" | "stopped") => around({ standing: [standing("qemu", { ha })] });
  const shown = (ha: "started" | "stopped", settings: Partial<RestoreSettings> = {}) =>
    planLines([planOf(wish("qemu"), there(ha), { ifExists: "keep-copy", ...settings })])
      .filter((line) => /^ {4}(copy|HA) /.test(line)).map((line) => line.slice(14));
  assert.deepEqual(shown("started"), [
    "what stands there is kept as VM 900, with scsi0 (8 GiB), not started at boot",
    "requested stopped meanwhile, started again afterwards",
  ]);
  assert.equal(
    shown("started", { start: "never" })[1],
    "requested stopped meanwhile, and left so afterwards",
  );
  assert.equal(shown("stopped", { start: "always" })[1], "stopped, started afterwards");
  assert.equal(shown("stopped", { start: "never" })[1], "stopped");
});

Deno.test("planLines() warns of too little space for staging, not of what need not be staged", () => {
  const there = around({ stagingSpace: new Map([["pve1", GIB / 2]]) });
  const lines = planLines([planOf(wish("qemu"), there)]);
  assert.ok(lines.includes("    space     staging: 1 GiB needed, 512 MiB free"), lines.join("\n"));
  assert.match(
    lines.join("\n"),
    /warning +staging takes 1 GiB, and 512 MiB may be used: give another --dump-dir/,
  );
  for (
    const [one, settings] of [[wish("qemu", { isStaged: true }), {}], [wish("qemu"), {
      method: "stream",
    }]] as const
  ) {
    assert.doesNotMatch(planLines([planOf(one, there, settings)]).join("\n"), /staging/);
  }
});
