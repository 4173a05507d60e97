import assert from "node:assert/strict";
import { examine } from "../../../src/doctor/doctor.ts";
import { SimNode } from "../../pve/mod.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";

Deno.test("examine() looks at every node, and one that cannot be reached is a finding", async () => {
  await using sim = await SimNode.create({ guests: [{ vmid: 101 }], otherNodes: ["pve2", "pve3", "!pve4"] });
  const nodes = await simNodes(sim);
  const reach = nodes.node;
  nodes.node = (name) => name === "pve3" ? Promise.reject(new Error("no route to host")) : reach(name);
  const findings = await examine(nodes, { dumpDir: sim.dumpDir, maxNodes: 2, now: () => new Date() });
  const reached = findings.filter(({ check }) => check === "reach").map((
    { node, severity },
  ) => [node, severity]);
  assert.deepEqual(reached, [["pve1", "ok"], ["pve2", "ok"], ["pve3", "problem"], ["pve4", "warning"]]);
  for (const node of ["pve1", "pve2"]) {
    assert.ok(findings.some((finding) => finding.node === node && finding.check === "storages"), node);
  }
});

Deno.test("examine() goes on after a check that fails or takes too long", async () => {
  await using sim = await SimNode.create({ guests: [{ vmid: 101 }] });
  const nodes = await simNodes(sim);
  const { runner } = nodes.entry;
  const run = runner.run.bind(runner);
  runner.run = (argv, options) => {
    if (argv[0] === "id") return Promise.reject(new Error("the connection was lost"));
    if (argv[0] === "date") return new Promise(() => {});
    return run(argv, options);
  };
  const findings = await examine(nodes, {
    dumpDir: sim.dumpDir,
    maxNodes: 1,
    now: () => new Date(),
    timeout: 5000,
  });
  const of = (check: string) => findings.filter((finding) => finding.check === check).map(({ text }) => text);
  assert.deepEqual(of("rights"), ["it cannot be looked at: the connection was lost"]);
  assert.deepEqual(of("clock"), ["it took longer than 5 s to look"]);
  assert.equal(of("staging").length, 1);
});
