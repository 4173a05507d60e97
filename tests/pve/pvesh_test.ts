import assert from "node:assert/strict";
import { SimNode, type SimOptions } from "./mod.ts";
import { run } from "./test_tools.ts";

/** The parsed answer of `pvesh get …`. */
// deno-lint-ignore no-explicit-any
async function get(node: SimNode, line: string): Promise<any> {
  const { code, stdout, stderr } = await run(node, "pvesh", [
    "get",
    ...line.split(" "),
    "--output-format",
    "json",
  ]);
  assert.equal(code, 0, stderr);
  assert.ok(stdout.endsWith("\n") && !stdout.slice(0, -1).includes("\n"));
  return JSON.parse(stdout);
}

const CLUSTER: SimOptions = {
  otherNodes: ["pve2", "!pve3"],
  pools: ["empty", "a/b"],
  guests: [
    { vmid: 101, name: "web", tags: ["prod", "db"], pool: "lab" },
    { vmid: 1000, pool: "a/b" },
    { vmid: 105, kind: "lxc", name: "ct", lock: "backup", ha: "started", node: "pve2" },
    { vmid: 107, node: "pve3" },
    { vmid: 108, broadcast: false },
    { vmid: 109, template: true },
  ],
};

Deno.test("/cluster/resources lists all nodes' guests, sorted by vmid as text", async () => {
  await using node = await SimNode.create(CLUSTER);
  const list = await get(node, "/cluster/resources --type vm");
  // deno-lint-ignore no-explicit-any
  const byId = Object.fromEntries(list.map((entry: any) => [entry.vmid, entry]));
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(list.map((entry: any) => entry.vmid), [1000, 101, 105, 107, 108, 109]);
  assert.equal(byId[101].tags, "prod;db");
  assert.equal(byId[101].pool, "lab");
  assert.deepEqual([byId[105].id, byId[105].lock, byId[105].hastate], ["lxc/105", "backup", "started"]);
  assert.equal(byId[109].template, 1);
  for (const vmid of [107, 108]) {
    assert.equal(byId[vmid].status, "unknown");
    assert.equal("name" in byId[vmid] || "template" in byId[vmid], false);
  }
  const line = (await run(node, "pvesh", ["get", "/cluster/resources", "--output-format", "json"])).stdout;
  assert.match(line, /^\[\{"cpu":/);
});

Deno.test("a paused VM shows its QEMU state, memhost is new in 9", async () => {
  await using node = await SimNode.create({ release: "9.1", guests: [{ vmid: 101, status: "paused" }] });
  const [guest] = await get(node, "/cluster/resources --type vm");
  assert.equal(guest.status, "paused");
  assert.ok("memhost" in guest);
});

Deno.test("/cluster/status tells the local node, with and without a cluster", async () => {
  await using cluster = await SimNode.create(CLUSTER);
  const entries = await get(cluster.node("pve2"), "/cluster/status");
  assert.equal(entries[0].type, "cluster");
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(entries.slice(1).map((entry: any) => [entry.name, entry.local, entry.online]), [
    ["pve1", 0, 1],
    ["pve2", 1, 1],
    ["pve3", 0, 0],
  ]);
  await using single = await SimNode.create();
  const [only, ...rest] = await get(single, "/cluster/status");
  assert.deepEqual([only.name, only.nodeid, only.local, rest.length], ["pve1", 0, 1, 0]);
});

Deno.test("guest configurations: pending by default, another node's by proxy, an offline node's not", async () => {
  await using node = await SimNode.create({
    ...CLUSTER,
    guests: [...CLUSTER.guests!, { vmid: 120, sections: "[PENDING]\nmemory: 4096\n\n[before]\nmemory: 1\n" }],
  });
  assert.equal((await get(node, "/nodes/pve1/qemu/120/config")).memory, 4096);
  assert.equal((await get(node, "/nodes/pve1/qemu/120/config --current 1")).memory, 1024);
  const config = await get(node, "/nodes/pve2/lxc/105/config");
  assert.equal(config.hostname, "ct");
  assert.ok("digest" in config);
  const snapshots = await get(node, "/nodes/pve1/qemu/120/snapshot");
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(snapshots.map((entry: any) => entry.name), ["before", "current"]);
  const offline = await run(node, "pvesh", ["get", "/nodes/pve3/qemu/107/config", "--output-format", "json"]);
  assert.notEqual(offline.code, 0);
  assert.match(offline.stderr, /^proxy handler failed: /);
  const missing = await run(node, "pvesh", ["get", "/nodes/pve1/qemu/999/config"]);
  assert.match(missing.stderr, /Configuration file 'nodes\/pve1\/qemu-server\/999\.conf' does not exist/);
});

Deno.test("/nodes/N/storage filters, and an inactive storage is all zeros", async () => {
  await using node = await SimNode.create({
    storages: [{ id: "nas", type: "nfs", content: "backup", active: false, shared: true }, {
      id: "off",
      enabled: false,
    }],
  });
  // deno-lint-ignore no-explicit-any
  const ids = async (line: string) => (await get(node, line)).map((entry: any) => entry.storage);
  assert.deepEqual(await ids("/nodes/pve1/storage"), ["local", "local-lvm", "nas", "off"]);
  assert.deepEqual(await ids("/nodes/pve1/storage --enabled 1"), ["local", "local-lvm", "nas"]);
  assert.deepEqual(await ids("/nodes/pve1/storage --content backup"), ["local", "nas"]);
  const [nas] = await get(node, "/nodes/pve1/storage --storage nas");
  assert.deepEqual([nas.active, nas.total, nas.avail], [0, 0, 0]);
  const unknown = await run(node, "pvesh", ["get", "/nodes/pve1/storage", "--storage", "nope"]);
  assert.match(unknown.stderr, /^400 Parameter verification failed\.\nstorage: No such storage\.\n/);
});

Deno.test("pools by release: --poolid from 8.1, nested ones never in the path", async () => {
  await using node = await SimNode.create(CLUSTER);
  const [lab] = await get(node, "/pools --poolid lab");
  // deno-lint-ignore no-explicit-any
  assert.deepEqual(lab.members.map((entry: any) => entry.vmid), [101]);
  assert.deepEqual((await get(node, "/pools --poolid a/b"))[0].members.length, 1);
  // deno-lint-ignore no-explicit-any
  assert.deepEqual((await get(node, "/pools")).map((pool: any) => pool.poolid), ["a/b", "empty", "lab"]);
  const nested = await run(node, "pvesh", ["get", "/pools/a/b"]);
  assert.deepEqual([nested.code, nested.stderr], [1, "No 'get' handler defined for '/pools/a/b'\n"]);
  const missing = await run(node, "pvesh", ["get", "/pools/nope"]);
  assert.equal(missing.stderr, "pool 'nope' does not exist\n");
  node.change((state) => state.release = "8.0");
  const old = await run(node, "pvesh", ["get", "/pools", "--poolid", "lab"]);
  assert.notEqual(old.code, 0);
  assert.match(old.stderr, /^Unknown option: poolid\n400 unable to parse option\n/);
  assert.deepEqual(Object.keys(await get(node, "/pools/lab")), ["members"]);
});

Deno.test("nextid, version, unknown paths", async () => {
  await using node = await SimNode.create({ release: "7.4", guests: [{ vmid: 100 }, { vmid: 102 }] });
  assert.equal(await get(node, "/cluster/nextid"), "101");
  assert.deepEqual(await get(node, "/version"), {
    release: "7.4",
    repoid: "2a5fa54a8503f96d",
    version: "7.4-3",
  });
  const unknown = await run(node, "pvesh", ["get", "/foo"]);
  assert.deepEqual([unknown.code, unknown.stdout, unknown.stderr], [
    1,
    "",
    "No 'get' handler defined for '/foo'\n",
  ]);
  const taken = await run(node, "pvesh", ["get", "/cluster/nextid", "--vmid", "102"]);
  assert.notEqual(taken.code, 0);
});

Deno.test("text output is no JSON, warnings go to stderr", async () => {
  await using node = await SimNode.create({ knobs: { localeWarnings: true } });
  const { code, stdout, stderr } = await run(node, "pvesh", ["get", "/version"]);
  assert.equal(code, 0);
  assert.throws(() => JSON.parse(stdout));
  assert.match(stderr, /^perl: warning: Setting locale failed\.\n/);
});
