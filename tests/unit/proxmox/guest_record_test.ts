import assert from "node:assert/strict";
import { guestFiles, readGuest } from "../../../src/proxmox/guest_record.ts";
import { byPath, exits, standInNode } from "./node_stand_in.ts";
import { complaints, RELEASES } from "./pve_options.ts";

const VM = { vmid: 101, kind: "qemu" as const, node: "pve1" };
const CT = { vmid: 105, kind: "lxc" as const, node: "pve2" };
const NO_FILES = { readText: () => Promise.resolve(null) };

Deno.test("readGuest() takes what is in force out of the guest's file, and asks nobody else", async () => {
  const files: Record<string, string> = {
    "/etc/pve/nodes/pve2/lxc/105.conf":
      "#a note\nhostname: mail\nmemory: 512\n\n[pve:pending]\nmemory: 1024\n\n[before]\nmemory: 256\n",
  };
  const node = standInNode({ files: { readText: (path) => Promise.resolve(files[path] ?? null) } });
  const { config, snapshots } = await readGuest(node, CT);
  assert.deepEqual(config, { hostname: "mail", memory: "512" });
  assert.deepEqual(snapshots, ["before"]);
  assert.deepEqual(node.runner.calls, []);
});

Deno.test("readGuest() asks pvesh where the file cannot be read, for guests of other nodes too", async () => {
  const path = "/nodes/pve2/lxc/105";
  const answer = {
    digest: "ab",
    hostname: "mail",
    memory: 512,
    lxc: [["a", "b"]],
    rootfs: "local:x,size=8G",
  };
  const list = [{ name: "before", description: "x" }, { name: "current", parent: "before" }];
  const node = standInNode({
    files: NO_FILES,
    run: byPath({ [`${path}/config`]: JSON.stringify(answer), [`${path}/snapshot`]: JSON.stringify(list) }),
  });
  const { config, snapshots } = await readGuest(node, CT);
  assert.deepEqual(config, { hostname: "mail", memory: "512", rootfs: "local:x,size=8G" });
  assert.deepEqual(snapshots, ["before"]);
  assert.deepEqual(node.runner.calls[0]?.slice(2, 5), [`${path}/config`, "--current", "1"]);
});

Deno.test("readGuest() falls back on the newest snapshot's name where the node does not list them", async () => {
  const silent = (config: Record<string, string>) =>
    standInNode({
      files: NO_FILES,
      run: byPath({
        "/nodes/pve1/qemu/101/config": JSON.stringify(config),
        "/nodes/pve1/qemu/101/snapshot": exits(1, "No 'get' handler defined", ["pvesh"]),
      }),
    });
  assert.deepEqual((await readGuest(silent({ parent: "newest" }), VM)).snapshots, ["newest"]);
  assert.deepEqual((await readGuest(silent({ name: "web" }), VM)).snapshots, []);
});

Deno.test("readGuest() takes snapshots that cannot be listed for no answer, not for none", async () => {
  const node = standInNode({
    files: NO_FILES,
    run: byPath({
      "/nodes/pve1/qemu/101/config": JSON.stringify({ name: "web" }),
      "/nodes/pve1/qemu/101/snapshot": exits(255, "got timeout", ["pvesh"]),
    }),
  });
  await assert.rejects(readGuest(node, VM), /Cannot read "\/nodes\/pve1\/qemu\/101\/snapshot".*got timeout/);
});

Deno.test("guestFiles() reads the cluster's own files", async () => {
  const files: Record<string, string> = {
    "/etc/pve/nodes/pve2/lxc/105.conf": "hostname: mail\n\n[snap]\n",
    "/etc/pve/firewall/105.fw": "[OPTIONS]\n",
  };
  const node = standInNode({ files: { readText: (path) => Promise.resolve(files[path] ?? null) } });
  assert.deepEqual(await guestFiles(node, CT, ["snap"]), {
    config: "hostname: mail\n\n[snap]\n",
    firewall: "[OPTIONS]\n",
  });
});

Deno.test("guestFiles() puts the configuration together where the cluster's files cannot be read", async () => {
  const node = standInNode({
    files: { readText: () => Promise.reject(new Error("EACCES")) },
    run: (argv) => argv.includes("--snapshot") ? "memory: 256\n" : "memory: 512\n",
  });
  assert.deepEqual(await guestFiles(node, VM, ["old"]), { config: "memory: 512\n\n[old]\nmemory: 256\n" });
  for (const release of RELEASES) {
    for (const argv of node.runner.calls) assert.deepEqual(complaints(release, argv), [], argv.join(" "));
  }
});
