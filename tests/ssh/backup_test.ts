/** The whole product from a backup relay: a cluster is backed up, checked and restored over SSH. */
// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import type { GuestSpec } from "../pve/mod.ts";
import { needsSsh } from "./bed.ts";
import { describe, Relay } from "./relay.ts";

const GUESTS: GuestSpec[] = [
  { vmid: 101, name: "web", disks: [{ key: "scsi0", size: "8M" }, { key: "virtio1", size: "3M" }] },
  { vmid: 102, name: "db", node: "pve2" },
  { vmid: 105, name: "mail", kind: "lxc", node: "pve2" },
];

const VOLUMES: [number, string][] = [[101, "scsi0"], [101, "virtio1"], [102, "scsi0"], [105, "rootfs"]];

const digests = ({ bed }: Relay) => VOLUMES.map(([vmid, key]) => bed.sim.sha256(vmid, key));

/** vmid and node of each call of a tool so far. */
const callsOf = ({ bed }: Relay, tool: string) =>
  bed.sim.calls().filter((call) =>
    call.tool === tool && call.argv.includes("--stdout") || call.tool === tool &&
      tool !== "vzdump"
  ).map(({ argv, node }) => `${argv.find((word) => /^\d{3}$/.test(word))} on ${node}`).sort();

for (const transport of ["builtin", "openssh"]) {
  Deno.test({
    name: `a relay lists, backs up, verifies and restores a cluster over SSH (${transport})`,
    ...needsSsh(),
    fn: async (t) => {
      await using relay = await Relay.create({ nodes: ["pve1", "pve2"], guests: GUESTS });
      relay.flags.push("--ssh-transport", transport);
      const before = digests(relay);

      await t.step("guests lists those of all nodes", async () => {
        const said = await relay.run(["guests", "--all", "--json"]);
        assert.equal(said.status, 0, describe(said));
        const listed = said.json.filter(({ vmid }) => vmid).map(({ vmid, node }) => `${vmid} ${node}`);
        assert.deepEqual(listed, ["101 pve1", "102 pve2", "105 pve2"]);
      });

      await t.step("backup dumps each guest on its own node", async () => {
        const said = await relay.backup("--all");
        assert.equal(said.status, 0, describe(said));
        assert.deepEqual(relay.outcomes, { 101: "good", 102: "good", 105: "good" });
        assert.deepEqual(callsOf(relay, "vzdump"), ["101 on pve1", "102 on pve2", "105 on pve2"]);
        await relay.tidy();
      });

      await t.step("list and verify need no node", async () => {
        const nodes = relay.bed.sim.calls().length;
        for (const command of ["list", "verify"]) {
          const said = await relay.run([command, "--from", relay.store]);
          assert.equal(said.status, 0, describe(said));
          assert.match(said.stdout, /vzdump-lxc-105-/);
        }
        assert.equal(relay.bed.sim.calls().length, nodes);
      });

      await t.step("restore goes to the node of each guest, and where it is told to", async () => {
        const other = await relay.restore("--vmid", "102", "--newid", "202", "--node", "pve1");
        assert.equal(other.status, 0, describe(other));
        assert.equal(relay.bed.sim.guest(202)?.node, "pve1");
        assert.equal(relay.bed.sim.sha256(202, "scsi0"), before[2]);
        relay.bed.sim.destroyGuest(101); // its disks must come out of the archive
        const said = await relay.restore("--all", "--force");
        assert.equal(said.status, 0, describe(said));
        assert.deepEqual(digests(relay), before);
        assert.deepEqual(callsOf(relay, "qmrestore"), ["101 on pve1", "102 on pve2", "202 on pve1"]);
        assert.deepEqual([101, 102, 105].map((vmid) => relay.bed.sim.guest(vmid)?.status), [
          "stopped",
          "running",
          "running",
        ]);
        await relay.tidy();
      });
    },
  });
}

Deno.test({
  name: "a relay that reaches only one node backs up and restores the cluster through it",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({ nodes: ["pve1", "pve2"], guests: GUESTS });
    await relay.bed.trustEachOther();
    relay.flags.push("--node-access", "entry");
    const before = digests(relay);
    const said = await relay.backup("--all");
    assert.equal(said.status, 0, describe(said));
    assert.deepEqual(callsOf(relay, "vzdump"), ["101 on pve1", "102 on pve2", "105 on pve2"]);
    for (const vmid of [102, 105]) relay.bed.sim.destroyGuest(vmid);
    const restored = await relay.restore("--vmid", "102,105", "--node", "pve2");
    assert.equal(restored.status, 0, describe(restored));
    assert.deepEqual(digests(relay), before);
    assert.equal(relay.bed.sim.guest(105)?.node, "pve2");
    await relay.tidy();
  },
});

Deno.test({
  name: "a backup of 20 guests on 4 nodes takes about as long as the slowest node",
  ...needsSsh(),
  fn: async () => {
    const nodes = ["pve1", "pve2", "pve3", "pve4"];
    // Eight guests on the slowest node, four on each of the others.
    const guests = Array.from({ length: 20 }, (_, index) => ({
      vmid: 100 + index,
      node: nodes[index < 4 ? 0 : index % 4] ?? "pve1",
      disks: [{ key: "scsi0", size: "1M" }],
    }));
    await using relay = await Relay.create({ nodes, guests });
    const begin = Date.now();
    const said = await relay.backup("--all", "--backup-compression", "0");
    const wall = Date.now() - begin;
    assert.equal(said.status, 0, describe(said));
    const report = JSON.parse(Deno.readTextFileSync(`${relay.snapshot}/report.json`));
    const perNode = nodes.map((name) =>
      report.guests.filter(({ node }: { node: string }) => node === name)
        .reduce((sum: number, { seconds }: { seconds: number }) => sum + seconds, 0)
    );
    const seconds = (count: number) => `${count.toFixed(1)} s`;
    const sum = perNode.reduce((total, count) => total + count, 0);
    // deno-lint-ignore no-console -- a figure to show
    console.log(
      `20 guests on 4 nodes: ${seconds(wall / 1000)}; slowest node ${
        seconds(Math.max(...perNode))
      }, sum of the nodes ${seconds(sum)}`,
    );
    const dumps = relay.bed.sim.calls().filter(({ tool }) => tool === "vzdump");
    const sideBySide = dumps.some((one) =>
      dumps.some((other) =>
        one.node !== other.node && one.started < other.started && other.started < one.ended!
      )
    );
    assert.ok(sideBySide, "nodes work side by side");
    for (const name of nodes) {
      const own = dumps.filter(({ node }) => node === name);
      own.slice(1).forEach(({ started }, index) => assert.ok(own[index]!.ended! <= started, "one at a time"));
    }
    await relay.tidy();
  },
});
