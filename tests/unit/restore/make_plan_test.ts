import assert from "node:assert/strict";
import type { GuestKind } from "../../../src/core/guest.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type { RestoreSettings, Standing } from "../../../src/restore/plan.ts";
import {
  around,
  CT_CONFIG,
  planOf,
  reasonsOf,
  SETTINGS,
  standing,
  storage,
  VM_CONFIG,
  wish,
} from "./surroundings.ts";

const KINDS = ["qemu", "lxc"] as const;
const OTHER_VM = { ...VM_CONFIG, name: "db", smbios1: "uuid=99999999-2222-3333-4444-555555555555" };
const OTHER_CT = { ...CT_CONFIG, hostname: "dns" };
const otherConfig = (kind: GuestKind) => kind === "qemu" ? OTHER_VM : OTHER_CT;

for (const kind of KINDS) {
  Deno.test(`planRestores() creates a ${kind} guest where nobody stands`, () => {
    const plan = planOf(wish(kind));
    assert.deepEqual(
      [plan.action, plan.standing, plan.stops, plan.starts, plan.unique],
      ["create", undefined, false, false, false],
    );
    assert.deepEqual([plan.refusals, plan.warnings, plan.destroys, plan.keeps], [[], [], [], []]);
    assert.equal(plan.node, "pve1");
    assert.equal(plan.name, kind === "qemu" ? "web" : "mail");
  });

  /** What is refused of replacing a guest of this kind. */
  const refusedOf = (ifExists: RestoreSettings["ifExists"], status: string, same: boolean): string[] => {
    const there = standing(kind, { status, ...(same ? {} : { config: otherConfig(kind) }) });
    const plan = planOf(wish(kind), around({ standing: [there] }), { ifExists });
    assert.equal(plan.action, "replace");
    assert.equal(plan.standing?.same, same);
    assert.equal(plan.stops, status !== "stopped");
    assert.equal(plan.starts, status !== "stopped", "as-before");
    return reasonsOf(plan);
  };

  Deno.test(`if_exists=refuse never replaces a ${kind} guest`, () => {
    for (const same of [true, false]) {
      assert.deepEqual(refusedOf("refuse", "running", same), ['it is running on node "pve1"']);
      assert.deepEqual(refusedOf("refuse", "stopped", same), ['it exists on node "pve1"']);
    }
  });

  Deno.test(`if_exists=replace replaces whatever ${kind} guest stands there`, () => {
    for (const same of [true, false]) {
      for (const status of ["running", "stopped"]) assert.deepEqual(refusedOf("replace", status, same), []);
    }
  });

  Deno.test(`if_exists=replace-same replaces the same ${kind} guest only, running or not`, () => {
    assert.deepEqual(refusedOf("replace-same", "running", true), []);
    assert.deepEqual(refusedOf("replace-same", "stopped", true), []);
    for (const status of ["running", "stopped"]) {
      assert.match(
        refusedOf("replace-same", status, false).join(),
        /^the guest that stands there, "\w+", is not the one/,
      );
    }
  });

  Deno.test(`if_exists=replace-stopped replaces the same ${kind} guest only, and only stopped`, () => {
    assert.deepEqual(refusedOf("replace-stopped", "stopped", true), []);
    assert.deepEqual(refusedOf("replace-stopped", "running", true), ["it is running"]);
    for (const status of ["running", "stopped"]) {
      assert.match(refusedOf("replace-stopped", status, false).join(), /is not the one in the archive$/);
    }
  });

  Deno.test(`planRestores() restores a ${kind} guest on the node where it lives, onto its storages`, () => {
    const there = [standing(kind, { guest: { node: "pve2" } })];
    const others = { pve2: [storage("fast"), storage("pool")] };
    const plan = planOf(wish(kind), around({ standing: there, storages: [], others }), {
      ifExists: "replace",
    });
    assert.deepEqual([plan.node, plan.refusals, plan.warnings], ["pve2", [], []]);
    assert.deepEqual(reasonsOf(planOf(wish(kind), around({ standing: there, others }))), [
      'it is running on node "pve2"',
    ]);
    const lacking = planOf(wish(kind), around({ standing: there, others: { pve2: [] } }));
    assert.match(reasonsOf(lacking).join(), /does not exist on node "pve2"|no storage of node "pve2"/);
  });

  Deno.test(`planRestores() creates a ${kind} guest on the node that is given`, () => {
    const surroundings = around({ storages: [], others: { pve2: [storage("fast"), storage("pool")] } });
    const plan = planOf(wish(kind), surroundings, { node: "pve2" });
    assert.deepEqual([plan.node, plan.action, plan.refusals], ["pve2", "create", []]);
  });

  Deno.test(`planRestores() says that a ${kind} guest is not restored on the node that is given`, () => {
    const there = standing(kind);
    const plan = planOf(wish(kind), around({ standing: [there] }), { node: "pve2", ifExists: "replace" });
    assert.deepEqual([plan.node, plan.refusals], ["pve1", []]);
    assert.deepEqual(plan.warnings, ['it is restored on node "pve1", where it lives, not on "pve2"']);
  });

  Deno.test(`planRestores() refuses a ${kind} guest whose node cannot be reached, whatever if_exists says`, () => {
    const unreachable = new Map([["pve2", "no route to host"]]);
    const there = [standing(kind, { guest: { node: "pve2" } })];
    for (const ifExists of ["refuse", "replace-same", "replace-stopped", "replace"] as const) {
      const plan = planOf(wish(kind), around({ standing: there, unreachable }), { ifExists });
      const reason = 'it lives on node "pve2", which cannot be used: no route to host';
      assert.deepEqual(reasonsOf(plan), [reason]);
    }
    const created = planOf(wish(kind), around({ unreachable }), { node: "pve2" });
    assert.deepEqual(reasonsOf(created), ['node "pve2" cannot be used: no route to host']);
  });

  Deno.test(`planRestores() refuses to replace a guest of the other kind by a ${kind} archive`, () => {
    const other = kind === "qemu" ? "lxc" : "qemu";
    const there = standing(other, { guest: { vmid: wish(kind).target! } });
    for (const ifExists of ["refuse", "replace"] as const) {
      const plan = planOf(wish(kind), around({ standing: [there] }), { ifExists });
      assert.equal(plan.refusals.length, 1);
      assert.match(
        reasonsOf(plan)[0] ?? "",
        /^vmid \d+ belongs to (VM|CT) \d+ "\w+", a guest of the other kind$/,
      );
    }
  });

  Deno.test(`planRestores() refuses a protected ${kind} guest and one that is locked`, () => {
    const refused = (given: Pick<Standing, "config">) =>
      planOf(wish(kind), around({ standing: [standing(kind, given)] }), { ifExists: "replace" }).refusals;
    const config = kind === "qemu" ? VM_CONFIG : CT_CONFIG;
    const tool = kind === "qemu" ? "qm" : "pct";
    assert.match(
      refused({ config: { ...config, protection: "1" } })[0]?.hint ?? "",
      new RegExp(`: ${tool} set \\d+ --protection 0$`),
    );
    assert.deepEqual(refused({ config: { ...config, protection: "0" } }), []);
    const [locked] = refused({ config: { ...config, lock: "backup" } });
    assert.equal(locked?.reason, "it is locked (backup)");
    assert.match(locked?.hint ?? "", new RegExp(`: ${tool} unlock \\d+$`));
    const both = standing(kind, { config: { ...config, lock: "x", protection: "1" } });
    assert.equal(planOf(wish(kind), around({ standing: [both] })).refusals.length, 3, "all reasons at once");
  });

  Deno.test(`planRestores() starts a restored ${kind} guest as the settings say`, () => {
    const starts = (start: RestoreSettings["start"], status?: string, template = false) => {
      const one = wish(kind);
      const config = template ? { ...one.config, template: "1" } : one.config;
      const there = status === undefined ? [] : [standing(kind, { status })];
      return planOf({ ...one, config }, around({ standing: there }), { start, ifExists: "replace" }).starts;
    };
    assert.deepEqual(
      ["running", "paused", "stopped", undefined].map((status) => starts("as-before", status)),
      [
        true,
        true,
        false,
        false,
      ],
    );
    assert.deepEqual(["running", "stopped", undefined].map((status) => starts("always", status)), [
      true,
      true,
      true,
    ]);
    assert.deepEqual(["running", "stopped", undefined].map((status) => starts("never", status)), [
      false,
      false,
      false,
    ]);
    assert.equal(starts("always", undefined, true), false, "a template is never started");
    assert.equal(starts("as-before", "running", true), false, "a template is never started");
  });

  Deno.test(`planRestores() gives a ${kind} guest new MACs when its original goes on under another vmid`, () => {
    const original = standing(kind);
    const moved = wish(kind, { target: 300 });
    const unique = (there: Standing[], settings: Partial<RestoreSettings> = {}, one = moved) =>
      planOf(one, around({ standing: there }), settings).unique;
    assert.equal(unique([original]), true);
    assert.equal(unique([]), false, "the original is gone");
    assert.equal(
      unique([standing(kind, { config: otherConfig(kind) })]),
      false,
      "another guest has its vmid",
    );
    assert.equal(unique([original], { unique: "false" }), false);
    assert.equal(unique([], { unique: "true" }), true);
    assert.equal(unique([original], {}, wish(kind)), false, "it replaces the original");
    assert.equal(
      unique([standing(kind, { guest: { node: "pve2" } })]),
      true,
      "the original lives on another node",
    );
  });

  Deno.test(`planRestores() would destroy no snapshot of a ${kind} guest unasked`, () => {
    const there = around({ standing: [standing(kind, { snapshots: ["before", "after"] })] });
    const refused = planOf(wish(kind), there, { ifExists: "replace" });
    assert.deepEqual(refused.destroys, ['snapshot "before"', 'snapshot "after"']);
    assert.deepEqual(reasonsOf(refused), ['the archive does not hold snapshot "before", snapshot "after"']);
    const allowed = planOf(wish(kind), there, { ifExists: "replace", destroyExcluded: true });
    assert.deepEqual([allowed.destroys.length, allowed.refusals], [2, []]);
  });

  Deno.test(`planRestores() puts a new ${kind} guest back into its pool, if that still exists`, () => {
    const of = (pool: string, ...there: Parameters<typeof around>) =>
      planOf(wish(kind, { archive: { ...wish(kind).archive, pool } }), around(...there));
    const back = of("prod/web");
    assert.deepEqual([back.pool, back.warnings, back.refusals], ["prod/web", [], []]);
    const lost = of("gone");
    assert.deepEqual([lost.pool, lost.refusals], [undefined, []]);
    assert.match(lost.warnings.join(), /it was in pool "gone", which does not exist here/);
    // One that is replaced stays in the pool it is in now.
    assert.equal(of("prod", { standing: [standing(kind)] }).pool, undefined);
  });

  Deno.test(`planRestores() puts a ${kind} guest into a pool that exists, nested or not`, () => {
    for (const pool of ["prod", "prod/web"]) {
      const plan = planOf(wish(kind), around(), { pool });
      assert.deepEqual([plan.pool, plan.refusals], [pool, []]);
    }
    assert.deepEqual(planOf(wish(kind), around(), { pool: "none" }).refusals, [
      { reason: 'pool "none" does not exist', hint: "there are prod, prod/web" },
    ]);
    assert.deepEqual(
      planOf(wish(kind), around({ pools: [] }), { pool: "none" }).refusals[0]?.hint,
      "the cluster has no pools",
    );
  });
}

Deno.test("planRestores() says that a VM's other disks are kept, not destroyed", () => {
  const config = {
    ...VM_CONFIG,
    scsi1: "fast:vm-101-disk-1,size=2G,backup=0",
    ide2: "local:iso/x.iso,media=cdrom",
    unused0: "fast:vm-101-disk-9",
  };
  const plan = planOf(wish("qemu"), around({ standing: [standing("qemu", { config })] }), {
    ifExists: "replace",
  });
  assert.deepEqual([plan.keeps, plan.destroys, plan.refusals], [
    [{ key: "scsi1", volume: "fast:vm-101-disk-1", value: config.scsi1 }],
    [],
    [],
  ]);
});

Deno.test("planRestores() would destroy no volume of a container that the archive lacks unasked", () => {
  const config = {
    ...CT_CONFIG,
    mp0: "pool:vm-105-disk-1,mp=/data,size=100G",
    mp1: "pool:vm-105-disk-2,mp=/held,size=1G,backup=1",
    mp2: "/srv/share,mp=/share",
    mp3: "/dev/sdb1,mp=/disk",
    unused0: "pool:vm-105-disk-3",
  };
  const disks = [...wish("lxc").disks, { key: "mp1", size: 1024 ** 3, storage: "pool" }];
  const there = around({ standing: [standing("lxc", { config })] });
  const refused = planOf(wish("lxc", { disks }), there, { ifExists: "replace" });
  assert.deepEqual(refused.destroys, [
    "mp0 (pool:vm-105-disk-1, 102400 MiB)",
    "unused0 (pool:vm-105-disk-3)",
  ]);
  assert.equal(refused.refusals.length, 1);
  assert.equal(refused.refusals[0]?.hint, "pass --destroy-excluded to lose that");
  assert.deepEqual(
    planOf(wish("lxc", { disks }), there, { ifExists: "replace", destroyExcluded: true }).refusals,
    [],
  );
});

Deno.test("planRestores() tells the same guest by uuid, else by name and MAC", () => {
  const same = (kind: GuestKind, config: Record<string, string>) =>
    planOf(wish(kind), around({ standing: [standing(kind, { config })] })).standing?.same;
  assert.equal(same("qemu", { ...VM_CONFIG, name: "renamed" }), true);
  assert.equal(same("qemu", { ...VM_CONFIG, smbios1: OTHER_VM.smbios1 }), false);
  const { smbios1: _, ...unmarked } = VM_CONFIG;
  assert.equal(same("qemu", unmarked), true);
  assert.equal(same("qemu", { ...unmarked, name: "renamed" }), false);
  assert.equal(same("lxc", CT_CONFIG), true);
  assert.equal(same("lxc", { ...CT_CONFIG, net0: "name=eth0,hwaddr=BC:24:11:00:00:99" }), false);
  assert.equal(same("lxc", {}), false);
});

Deno.test("planRestores() refuses several archives for one target, each of them", () => {
  const plans = planRestores([wish("qemu"), wish("lxc", { target: 101 }), wish("lxc")], around(), SETTINGS);
  assert.deepEqual(plans.map((plan) => plan.refusals.length), [1, 1, 0]);
  assert.equal(plans[0]?.refusals[0]?.reason, "2 archives are to be restored to vmid 101");
});

Deno.test("planRestores() refuses an archive that tells no vmid, also several of them", () => {
  const custom = () => {
    const { archive, ...rest } = wish("qemu", { target: undefined });
    const { vmid: _, ...named } = archive;
    return { ...rest, archive: named };
  };
  const plans = planRestores([custom(), custom()], around(), SETTINGS);
  assert.deepEqual(plans.map(reasonsOf), [["its name does not tell a vmid"], [
    "its name does not tell a vmid",
  ]]);
});

Deno.test("planRestores() restores to a new vmid beside a guest that it may not replace", () => {
  const plan = planOf(wish("qemu", { target: 300 }), around({ standing: [standing("qemu")] }));
  assert.deepEqual([plan.action, plan.target, plan.refusals, plan.stops], ["create", 300, [], false]);
});

Deno.test("planRestores() refuses a new vmid that is taken like any other", () => {
  const there = standing("qemu", { guest: { vmid: 300 }, config: OTHER_VM });
  const plan = planOf(wish("qemu", { target: 300 }), around({ standing: [there] }));
  assert.deepEqual(reasonsOf(plan), ['it is running on node "pve1"']);
});
