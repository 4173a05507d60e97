import assert from "node:assert/strict";
import { withStorages } from "../../../src/archive/map_storages.ts";
import type { StorageMap } from "../../../src/core/storage_map.ts";

const CONFIG = `#Notes: scsi0 was on fast%3A once
agent: 1
efidisk0: fast:vm-101-disk-0,efitype=4m,size=528K
ide0: fast:vm-101-cloudinit,media=cdrom,size=4M
ide2: local:iso/debian.iso,media=cdrom
net0: virtio=BC:24:11:00:00:01,bridge=vmbr0
sata5: file=fast:101/vm-101-cloudinit.qcow2,media=cdrom
scsi0: fast:vm-101-disk-1,size=8G
scsi1: /dev/sdb,size=1G
tpmstate0: pool:vm-101-disk-2,size=4M,version=v2.0
#qmdump#map:efidisk0:drive-efidisk0:fast:raw:
#qmdump#map:scsi0:drive-scsi0:fast:raw:
#qmdump#map:scsi1:drive-scsi1:::
#qmdump#map:tpmstate0:drive-tpmstate0-backup:pool:raw:
`;

const mapped = (text: string, map: StorageMap) =>
  new TextDecoder().decode(withStorages(new TextEncoder().encode(text), map));

/** The lines that a map changes in the configuration. */
function changedLines(map: StorageMap): string[] {
  const before = CONFIG.split("\n");
  const after = mapped(CONFIG, map).split("\n");
  assert.equal(after.length, before.length);
  return after.filter((line, index) => line !== before[index]);
}

Deno.test("withStorages() changes the storage of named disks where qmrestore reads it, and nothing else", () => {
  assert.deepEqual(changedLines({ disks: { scsi0: "big", tpmstate0: "big" } }), [
    "#qmdump#map:scsi0:drive-scsi0:big:raw:",
    "#qmdump#map:tpmstate0:drive-tpmstate0-backup:big:raw:",
  ]);
});

Deno.test("withStorages() gives a storage to a disk that had none", () => {
  assert.deepEqual(changedLines({ disks: { scsi1: "big" } }), ["#qmdump#map:scsi1:drive-scsi1:big::"]);
});

Deno.test("withStorages() changes cloud-init drives in their own lines, but no other CD-ROM", () => {
  assert.deepEqual(changedLines({ disks: { ide0: "big", ide2: "big", sata5: "slow" } }), [
    "ide0: big:vm-101-cloudinit,media=cdrom,size=4M",
    "sata5: file=slow:101/vm-101-cloudinit.qcow2,media=cdrom",
  ]);
});

Deno.test("withStorages() gives every other disk the map's default", () => {
  assert.deepEqual(changedLines({ others: "big", disks: { scsi0: "slow" } }), [
    "ide0: big:vm-101-cloudinit,media=cdrom,size=4M",
    "sata5: file=big:101/vm-101-cloudinit.qcow2,media=cdrom",
    "#qmdump#map:efidisk0:drive-efidisk0:big:raw:",
    "#qmdump#map:scsi0:drive-scsi0:slow:raw:",
    "#qmdump#map:scsi1:drive-scsi1:big::",
    "#qmdump#map:tpmstate0:drive-tpmstate0-backup:big:raw:",
  ]);
});

Deno.test("withStorages() keeps every byte of a text that is no UTF-8, and its line ends", () => {
  const odd = Uint8Array.from([0x23, 0xff, 0xe4, 0x80, 0x0d, 0x0a, 0x00, 0x0a]);
  const map = new TextEncoder().encode("#qmdump#map:scsi0:drive-scsi0:fast:raw:");
  const text = new Uint8Array([...odd, ...map]);
  const expected = new Uint8Array([...odd, ...map.subarray(0, -9), ...new TextEncoder().encode("big:raw:")]);
  assert.deepEqual(withStorages(text, { disks: { scsi0: "big" } }), expected);
});
