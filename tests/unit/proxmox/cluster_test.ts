import assert from "node:assert/strict";
import {
  connectNode,
  listGuests,
  listPools,
  listStorages,
  nextFreeVmid,
} from "../../../src/proxmox/cluster.ts";
import { byPath, standInNode } from "./node_stand_in.ts";

const node = (answers: Record<string, unknown>) =>
  standInNode({
    run: byPath(
      Object.fromEntries(Object.entries(answers).map(([path, answer]) => [path, JSON.stringify(answer)])),
    ),
  });

const CLUSTER = [
  { type: "cluster", id: "cluster", name: "lab", nodes: 2, version: 3, quorate: 1 },
  { type: "node", id: "node/pve2", name: "pve2", nodeid: 2, local: 0, online: 0, ip: "10.0.0.2", level: "" },
  { type: "node", id: "node/pve1", name: "pve1", nodeid: 1, local: 1, online: 1, ip: "10.0.0.1", level: "" },
];
const VERSION = { release: "8.4", repoid: "2a5fa54a8503f96d", version: "8.4.1" };

Deno.test("connectNode() finds the local node of a cluster", async () => {
  const { runner } = node({ "/version": VERSION, "/cluster/status": CLUSTER });
  const { runner: _, ...found } = await connectNode(runner);
  assert.deepEqual(found, {
    name: "pve1",
    release: { major: 8, minor: 4, text: "8.4.1" },
    clusterName: "lab",
    nodes: [
      { name: "pve2", online: false, address: "10.0.0.2" },
      { name: "pve1", online: true, address: "10.0.0.1" },
    ],
  });
});

Deno.test("connectNode() knows a node that is in no cluster", async () => {
  const alone = [{ type: "node", id: "node/pve1", name: "pve1", nodeid: 0, local: 1, online: 1 }];
  const { runner } = node({ "/version": { version: "7.4-3" }, "/cluster/status": alone });
  const found = await connectNode(runner);
  assert.equal(found.name, "pve1");
  assert.equal(found.clusterName, undefined);
  assert.equal(found.release.major, 7);
});

Deno.test("connectNode() reads a node whose name looks like a number", async () => {
  const alone = [{ type: "node", name: 17, local: "1", online: true }];
  const { runner } = node({ "/version": { version: 9.1 }, "/cluster/status": alone });
  const found = await connectNode(runner);
  assert.deepEqual([found.name, found.release.text], ["17", "9.1"]);
});

Deno.test("connectNode() refuses a status that names no local node", async () => {
  const { runner } = node({ "/version": VERSION, "/cluster/status": CLUSTER.slice(0, 2) });
  await assert.rejects(connectNode(runner), /names no local node/);
});

Deno.test("listGuests() reads guests as all releases write them, by vmid", async () => {
  const stand = node({
    "/cluster/resources": [
      {
        id: "lxc/1005",
        vmid: 1005,
        node: "pve2",
        type: "lxc",
        status: "running",
        name: "mail",
        template: 0,
        pool: "prod/web",
        tags: "nightly;web",
        hastate: "started",
        uptime: 5,
      },
      { id: "qemu/101", vmid: 101, node: "pve1", type: "qemu", status: "unknown" },
      {
        id: "qemu/110",
        vmid: "110",
        node: "pve1",
        type: "qemu",
        status: "stopped",
        name: 4711,
        template: 1,
        lock: "backup",
        tags: "",
        memhost: 1,
      },
      { id: "storage/pve1/local", node: "pve1", type: "storage", status: "available" },
    ],
  });
  assert.deepEqual(await listGuests(stand), [
    { vmid: 101, kind: "qemu", node: "pve1", status: "unknown", template: false, tags: [] },
    {
      vmid: 110,
      kind: "qemu",
      node: "pve1",
      status: "stopped",
      template: true,
      tags: [],
      name: "4711",
      lock: "backup",
    },
    {
      vmid: 1005,
      kind: "lxc",
      node: "pve2",
      status: "running",
      template: false,
      tags: ["nightly", "web"],
      name: "mail",
      pool: "prod/web",
      haState: "started",
    },
  ]);
  assert.deepEqual(stand.runner.calls[0]?.slice(2, 5), ["/cluster/resources", "--type", "vm"]);
});

Deno.test("listGuests() takes tags in each way of writing them", async () => {
  const resource = (vmid: number, tags: unknown) => ({ vmid, node: "pve1", type: "qemu", tags });
  const stand = node({
    "/cluster/resources": [
      resource(101, "a;b"),
      resource(102, "a, b"),
      resource(103, "a b"),
      resource(104, 7),
    ],
  });
  assert.deepEqual((await listGuests(stand)).map((guest) => guest.tags), [
    ["a", "b"],
    ["a", "b"],
    ["a", "b"],
    ["7"],
  ]);
});

Deno.test("listGuests() answers none for an empty cluster", async () => {
  assert.deepEqual(await listGuests(node({ "/cluster/resources": [] })), []);
});

Deno.test("listStorages() tells a storage that is full from one that is not active", async () => {
  const stand = node({
    "/nodes/pve1/storage": [
      { storage: "full", type: "dir", content: "images,rootdir", enabled: 1, active: 1, avail: 0, total: 9 },
      { storage: "off", type: "nfs", content: "backup", enabled: 1, active: 0, avail: 0, total: 0 },
      { storage: "out", type: "dir", content: "", enabled: 0, active: 0 },
    ],
  });
  assert.deepEqual(await listStorages(stand), [
    { id: "full", type: "dir", content: ["images", "rootdir"], enabled: true, active: true, available: 0 },
    { id: "off", type: "nfs", content: ["backup"], enabled: true, active: false, available: undefined },
    { id: "out", type: "dir", content: [], enabled: false, active: false, available: undefined },
  ]);
});

Deno.test("listPools() answers nested names whole", async () => {
  const pools = [{ poolid: "prod", comment: "x" }, { poolid: "prod/web" }];
  assert.deepEqual(await listPools(node({ "/pools": pools })), ["prod", "prod/web"]);
});

Deno.test("nextFreeVmid() reads a number and a text", async () => {
  assert.equal(await nextFreeVmid(node({ "/cluster/nextid": "103" })), 103);
  assert.equal(await nextFreeVmid(node({ "/cluster/nextid": 103 })), 103);
});
