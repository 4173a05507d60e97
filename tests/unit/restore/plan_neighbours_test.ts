import assert from "node:assert/strict";
import { parseRelease } from "../../../src/proxmox/release.ts";
import type { RestoreWish } from "../../../src/restore/plan.ts";
import { dumpAndRestore } from "./dumped.ts";
import { around, planOf, reasonsOf, standing, VM_CONFIG, wish } from "./surroundings.ts";

const MAC = "BC:24:11:00:00:01";
const other = (vmid: number, name: string) => standing("qemu", { guest: { vmid, name }, config: {} });

Deno.test("planRestores() warns of a name and MAC addresses that another guest has", () => {
  const there = [other(200, "web"), other(201, "db")];
  const neighbours = new Map([[201, { macs: [MAC], volumes: [] }]]);
  const plan = planOf(wish("qemu"), around({ standing: there, neighbours }));
  assert.deepEqual([plan.refusals, plan.warnings], [[], [
    'the name "web" is also that of VM 200 "web"',
    `MAC address ${MAC} is also that of VM 201 "db"; --unique true gives new ones`,
  ]]);
});

Deno.test("planRestores() warns of no MAC address where the guest gets new ones", () => {
  const neighbours = new Map([[201, { macs: [MAC], volumes: [] }]]);
  const there = around({ standing: [other(201, "db")], neighbours });
  assert.deepEqual(planOf(wish("qemu"), there, { unique: "true" }).warnings, []);
});

Deno.test("planRestores() warns of nothing that the guest shares with itself", () => {
  const neighbours = new Map([[101, { macs: [MAC], volumes: [] }]]);
  const there = around({ standing: [standing("qemu")], neighbours });
  assert.deepEqual(planOf(wish("qemu"), there, { ifExists: "replace" }).warnings, []);
  assert.deepEqual(planOf(wish("qemu", { target: 300 }), there).warnings, [], "it gets new addresses");
  const kept = planOf(wish("qemu", { target: 300 }), there, { unique: "false" });
  assert.match(kept.warnings.join("\n"), /^MAC address BC:24:11:00:00:01 is also that of VM 101 "web"/);
});

Deno.test("planRestores() refuses to replace a template on which linked clones stand, and names them", () => {
  const template = standing("qemu", {
    status: "stopped",
    config: { ...VM_CONFIG, template: "1" },
    guest: { template: true },
  });
  const volumes = {
    200: ["tank:base-101-disk-0/vm-200-disk-0"],
    201: ["local:101/base-101-disk-0.qcow2/201/vm-201-disk-0.qcow2"],
    202: ["tank:base-1010-disk-0/vm-202-disk-0", "tank:vm-202-disk-1"],
  };
  const neighbours = new Map(
    Object.entries(volumes).map(([vmid, held]) => [Number(vmid), { macs: [], volumes: held }]),
  );
  const clones = [200, 201, 202].map((vmid) => other(vmid, `c${vmid}`));
  const plan = (config: RestoreWish["config"], known = neighbours) =>
    planOf(
      wish("qemu", { config }),
      around({ standing: [template, ...clones], neighbours: known }),
      { ifExists: "replace", destroyExcluded: true },
    );
  assert.deepEqual(reasonsOf(plan(VM_CONFIG)), [
    'it is a template, and linked clones stand on its volumes: VM 200 "c200", VM 201 "c201"',
  ]);
  const unknown = plan(VM_CONFIG, new Map());
  assert.deepEqual(unknown.refusals, []);
  assert.match(
    unknown.warnings.join(),
    /whether a linked clone stands on it is not known of VM 200 "c200", /,
  );
});

Deno.test("survey() finds linked clones where the cluster filesystem cannot be read", async () => {
  await using done = await dumpAndRestore({
    guests: [{ vmid: 101, name: "golden", template: true }, { vmid: 120, name: "clone" }, { vmid: 121 }],
    carriesOut: false,
    beforePlan: (sim) => sim.setConfig(120, { scsi0: "tank:base-101-disk-0/vm-120-disk-0,size=4M" }),
  });
  assert.deepEqual(reasonsOf(done.plan), [
    'it is a template, and linked clones stand on its volumes: VM 120 "clone"',
  ]);
});

Deno.test("survey() finds a MAC address elsewhere where the cluster filesystem cannot be read", async () => {
  await using done = await dumpAndRestore({
    guests: [{ vmid: 101, name: "web" }, { vmid: 120, name: "other" }],
    carriesOut: false,
    beforePlan: (sim) => {
      sim.setConfig(120, { net0: sim.guest(101)!.entries.net0! });
      sim.destroyGuest(101);
    },
  });
  assert.match(done.plan.warnings.join(), /MAC address .* is also that of VM 120 "other"/);
});

Deno.test("planRestores() warns of an archive from a newer Proxmox VE", () => {
  const warned = (release: string, node: string) => {
    const one = wish("qemu");
    const archive = { ...one.archive, release };
    const releases = new Map([["pve1", parseRelease(node)]]);
    return planOf({ ...one, archive }, around({ releases })).warnings;
  };
  assert.deepEqual(warned("9.1.2", "8.4.1"), [
    'it was backed up on Proxmox VE 9.1.2, and node "pve1" has 8.4.1: what is newer in its configuration may be lost',
  ]);
  assert.equal(warned("8.4.1", "8.3.0").length, 1);
  for (const [release, node] of [["8.4.9", "8.4.1"], ["7.4-3", "8.0.2"], ["8.4.1", "9.0.3"]] as const) {
    assert.deepEqual(warned(release, node), []);
  }
});

Deno.test("planRestores() refuses a compression that the tools of the node's release do not take", () => {
  const planned = (kind: "qemu" | "lxc", release: string, more = {}) => {
    const releases = new Map([["pve1", parseRelease(release)]]);
    return planOf(wish(kind, { compression: "bzip2" }), around({ releases }), more).refusals;
  };
  assert.match(
    planned("qemu", "8.2.4")[0]?.reason ?? "",
    /takes \.vma\.bz2 since Proxmox VE 8\.3.*has 8\.2\.4/,
  );
  assert.deepEqual(planned("qemu", "8.3.0"), []);
  assert.deepEqual(planned("qemu", "7.4-3", { method: "stream" }), []);
  assert.deepEqual(planned("lxc", "7.4-3"), []);
});

Deno.test("planRestores() warns of a machine type that the node's QEMU does not know", async () => {
  const plan = async (machine: string, release: string) => {
    await using done = await dumpAndRestore({
      guests: [{ vmid: 101, config: { machine } }],
      sim: { release },
      carriesOut: false,
      beforePlan: (sim) => sim.destroyGuest(101),
    });
    return done.plan.warnings;
  };
  assert.deepEqual(await plan("pc-q35-9.2+pve1", "8.0"), [
    'QEMU of node "pve1" does not know its machine type "pc-q35-9.2": it will not start',
  ]);
  for (const [machine, release] of [["pc-q35-9.2+pve1", "8.4"], ["q35", "7.4"]] as const) {
    assert.deepEqual(await plan(machine, release), []);
  }
});
