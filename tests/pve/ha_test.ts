import assert from "node:assert/strict";
import { SimNode } from "./mod.ts";
import { run, until } from "./test_tools.ts";

const OPTIONS = { guests: [{ vmid: 101, name: "web", ha: "started" }], knobs: { haDelayMs: 400 } };

async function resource(node: SimNode) {
  const { stdout } = await run(node, "pvesh", ["get", "/cluster/ha/resources", "--output-format", "json"]);
  return JSON.parse(stdout)[0];
}

async function listed(node: SimNode) {
  const { stdout } = await run(node, "pvesh", ["get", "/cluster/resources", "--output-format", "json"]);
  return JSON.parse(stdout)[0].hastate;
}

const set = (node: SimNode, state: string) =>
  run(node, "pvesh", ["set", "/cluster/ha/resources/vm:101", "--state", state]);

Deno.test("a stop of a VM under HA is queued: the requested state changes in the manager's next round", async () => {
  await using node = await SimNode.create({ ...OPTIONS, knobs: { haDelayMs: 1500 } });
  assert.equal((await run(node, "qm", ["shutdown", 101])).stdout, "Requesting HA stop for VM 101\n");
  assert.equal((await resource(node)).state, "started");
  await until("the manager has taken it up", () => node.state().guests[101]!.ha === "stopped");
  await until("the VM is stopped", () => node.guest(101)!.status === "stopped");
  assert.equal(await listed(node), "stopped");
});

Deno.test("pvesh set changes the requested state at once, and the guest follows", async () => {
  await using node = await SimNode.create(OPTIONS);
  const answer = await set(node, "stopped");
  assert.deepEqual([answer.code, answer.stdout], [0, ""]);
  assert.equal((await resource(node)).state, "stopped");
  await until("the VM is stopped", () => node.guest(101)!.status === "stopped");
  assert.equal((await set(node, "started")).code, 0);
  await until("the VM is started", () => node.guest(101)!.status === "running");
  const unknown = await run(node, "pvesh", ["set", "/cluster/ha/resources/vm:999", "--state", "started"]);
  assert.match(unknown.stderr, /no such resource 'vm:999'/);
});

Deno.test("the manager starts a stopped guest, and gives up on one that is locked", async () => {
  await using node = await SimNode.create(OPTIONS);
  node.change((state) => state.guests[101]!.status = "stopped");
  node.setLock(101, "create");
  await until("the manager has given up", () => node.state().guests[101]!.haError === true);
  assert.equal(await listed(node), "error");
  const refused = await set(node, "started");
  assert.match(refused.stderr, /service 'vm:101' in error state, must be disabled and fixed first/);
  node.setLock(101, null);
  assert.equal((await set(node, "disabled")).code, 0);
  assert.equal((await set(node, "started")).code, 0);
  await until("the VM is started", () => node.guest(101)!.status === "running");
});

Deno.test("a running container, and a mount from the host, cannot be cloned", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 105, kind: "lxc", name: "ct" }] });
  const clone = () => run(node, "pct", ["clone", 105, 205, "--full", 1]);
  assert.match((await clone()).stderr, /Full clone of a running container is only possible from a snapshot/);
  node.stopGuest(105);
  node.setConfig(105, { mp0: "/srv,mp=/srv" });
  assert.match((await clone()).stderr, /unable to clone mountpoint 'mp0' \(type bind\)/);
  assert.equal(node.guest(105)?.lock, undefined);
  node.setConfig(105, { mp0: null });
  assert.equal((await clone()).code, 0);
  assert.equal(node.guest(205)?.entries.hostname, "ct");
});
