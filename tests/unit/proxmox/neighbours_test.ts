import assert from "node:assert/strict";
import { readNeighbours } from "../../../src/proxmox/neighbours.ts";
import { exits, standInNode } from "./node_stand_in.ts";

Deno.test("readNeighbours() reads MAC addresses and volumes of all guests in one look", async () => {
  const said = [
    "/etc/pve/nodes/pve1/qemu-server/101.conf:net0: virtio=bc:24:11:00:00:01,bridge=vmbr0",
    "/etc/pve/nodes/pve1/qemu-server/101.conf:scsi0: tank:base-9-disk-0/vm-101-disk-0,size=8G",
    "/etc/pve/nodes/pve1/qemu-server/101.conf:scsi0: tank:vm-101-disk-7,size=8G",
    "/etc/pve/nodes/pve2/lxc/105.conf:net1: name=eth1,hwaddr=BC:24:11:00:00:02,type=veth",
    "/etc/pve/nodes/pve2/lxc/105.conf:mp0: /srv/data,mp=/data",
    "/etc/pve/nodes/pve2/host.fw:net0: nothing of a guest",
    "",
  ].join("\n");
  const node = standInNode({ run: () => said });
  assert.deepEqual(
    await readNeighbours(node),
    new Map([
      [101, {
        macs: ["BC:24:11:00:00:01"],
        volumes: ["tank:base-9-disk-0/vm-101-disk-0", "tank:vm-101-disk-7"],
      }],
      [105, { macs: ["BC:24:11:00:00:02"], volumes: ["/srv/data"] }],
    ]),
  );
  assert.equal(node.runner.calls.length, 1);
});

Deno.test("readNeighbours() knows nothing where the cluster filesystem cannot be read", async () => {
  for (const answer of ["", exits(1, "", ["grep"])]) {
    assert.equal(await readNeighbours(standInNode({ run: () => answer })), undefined);
  }
});
