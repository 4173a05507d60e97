import assert from "node:assert/strict";
import { SimNode } from "./mod.ts";
import { run } from "./test_tools.ts";

Deno.test("pct exec runs a command in a running container, and qm agent asks a running VM", async () => {
  await using node = await SimNode.create({
    guests: [
      { vmid: 101, config: { agent: "1" } },
      { vmid: 102 },
      { vmid: 103, config: { agent: "enabled=0" } },
      { vmid: 104, status: "stopped", config: { agent: "1" } },
      { vmid: 105, kind: "lxc" },
    ],
  });
  const code = async (...[tool = "", ...args]: string[]) => (await run(node, tool, args)).code;
  const inside = ["pct", "exec", "105", "--", "/bin/true"];
  assert.equal(await code(...inside), 0);
  const ping = await run(node, "qm", ["agent", "101", "ping"]);
  assert.deepEqual([ping.code, ping.stdout], [0, ""]);
  const says = async (vmid: number) => (await run(node, "qm", ["agent", vmid, "ping"])).stderr;
  assert.match(await says(102), /^No QEMU guest agent configured$/m);
  assert.match(await says(103), /^QEMU guest agent is not running$/m);
  assert.match(await says(104), /^VM 104 is not running$/m);
  for (const vmid of [101, 105]) node.fault(vmid, { silent: true });
  assert.notEqual(await code(...inside), 0);
  assert.notEqual(await code("qm", "agent", "101", "ping"), 0);
  node.fault(105, {});
  node.stopGuest(105);
  const { code: status, stderr } = await run(node, "pct", inside.slice(1));
  assert.deepEqual([status === 0, stderr], [false, "container '105' not running!\n"]);
});

Deno.test("a guest that is told to stop by itself is stopped a while after its start", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 101, status: "stopped" }] });
  node.fault(101, { diesAfterMs: 1 });
  assert.equal((await run(node, "qm", ["start", "101"])).code, 0);
  assert.match((await run(node, "qm", ["status", "101"])).stdout, /^status: stopped$/m);
});

Deno.test("qm set --description takes the place of the comment lines", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 101 }] });
  node.change((state) => {
    state.guests[101]!.config = `#old notes\n${state.guests[101]!.config}`;
  });
  assert.equal((await run(node, "qm", ["set", "101", "--description", "new notes"])).code, 0);
  assert.match((await run(node, "qm", ["config", "101"])).stdout, /^description: new notes$/m);
});

Deno.test("pvesh tells the free memory of a node, newer releases what is available too", async () => {
  for (const [release, keys] of [["8.4", "free,total,used"], ["9.0", "available,free,total,used"]] as const) {
    await using node = await SimNode.create({ release, knobs: { freeMemory: 4096 } });
    const { stdout } = await run(node, "pvesh", ["get", "/nodes/pve1/status", "--output-format", "json"]);
    const { memory } = JSON.parse(stdout);
    assert.deepEqual([Object.keys(memory).sort().join(), memory.free], [keys, 4096]);
  }
});
