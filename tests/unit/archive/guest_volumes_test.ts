import assert from "node:assert/strict";
import {
  containerDisks,
  ctVolumes,
  notHeld,
  parseDiskSize,
  vmDisks,
  vmDisksOf,
} from "../../../src/archive/guest_volumes.ts";

const GIB = 2 ** 30;
const VM = {
  bios: "ovmf",
  efidisk0: "local-lvm:vm-101-disk-1,efitype=4m,size=4M",
  ide0: "local-lvm:vm-101-cloudinit,media=cdrom,size=4M",
  ide2: "local:iso/debian.iso,media=cdrom",
  ide3: "none,media=cdrom",
  memory: "1024",
  sata0: "/dev/disk/by-id/x,size=1T",
  scsi0: "local-lvm:vm-101-disk-0,size=32G,ssd=1",
  scsi1: "fast:vm-101-disk-2,backup=0,size=9M",
  scsihw: "virtio-scsi-pci",
  tpmstate0: "local-lvm:vm-101-disk-3,size=4M,version=v2.0",
  unused0: "local-lvm:vm-101-disk-4",
  virtio0: "nas:101/vm-101-disk-0.qcow2,size=512K,backup=1",
};

Deno.test("vmDisks() tells disks, CD-ROMs and cloud-init drives, and what vzdump takes", () => {
  assert.deepEqual(
    vmDisks(VM).map(({ key, type, storage, size, inBackup }) => [key, type, storage, size, inBackup]),
    [
      ["efidisk0", "disk", "local-lvm", 4 * 2 ** 20, true],
      ["ide0", "cloudinit", "local-lvm", 4 * 2 ** 20, false],
      ["ide2", "cdrom", "local", undefined, false],
      ["ide3", "cdrom", undefined, undefined, false],
      ["sata0", "disk", undefined, 2 ** 40, true],
      ["scsi0", "disk", "local-lvm", 32 * GIB, true],
      ["scsi1", "disk", "fast", 9 * 2 ** 20, false],
      ["tpmstate0", "disk", "local-lvm", 4 * 2 ** 20, true],
      ["unused0", "unused", "local-lvm", undefined, false],
      ["virtio0", "disk", "nas", 524288, true],
    ],
  );
  assert.equal(vmDisks(VM)[5]?.volume, "local-lvm:vm-101-disk-0");
});

const CT = {
  hostname: "web",
  mp0: "data:subvol-105-disk-1,mp=/data,backup=1,size=100G",
  mp1: "data:subvol-105-disk-2,mp=/cache,size=10G",
  mp2: "/srv/share,mp=/share",
  mp3: "/dev/sdb1,mp=/disk,backup=1",
  mp4: "volume=data:x,mp=/off,backup=no",
  rootfs: "local-lvm:vm-105-disk-0,size=8G",
  unused1: "data:subvol-105-disk-9",
};

Deno.test("ctVolumes() tells volumes, bind and device mounts, and what vzdump takes", () => {
  assert.deepEqual(
    ctVolumes(CT).map((
      { key, type, storage, mountPoint, inBackup },
    ) => [key, type, storage, mountPoint, inBackup]),
    [
      ["mp0", "volume", "data", "/data", true],
      ["mp1", "volume", "data", "/cache", false],
      ["mp2", "bind", undefined, "/share", false],
      ["mp3", "device", undefined, "/disk", false],
      ["mp4", "volume", "data", "/off", false],
      ["rootfs", "volume", "local-lvm", "/", true],
      ["unused1", "unused", "data", undefined, false],
    ],
  );
});

Deno.test("notHeld() names what a VM's backup leaves out", () => {
  assert.deepEqual(notHeld("qemu", { values: VM, snapshots: ["before"] }), [
    { key: "scsi1", what: 'disk "fast:vm-101-disk-2", 9 MiB', reason: "backup=0 is set" },
    {
      key: "unused0",
      what: 'unused disk "local-lvm:vm-101-disk-4"',
      reason: "unused disks are never in a backup",
    },
    { key: "before", what: 'snapshot "before"', reason: "snapshots are never in a backup" },
  ]);
  const { bios: _, ...seabios } = VM;
  assert.deepEqual(notHeld("qemu", { values: seabios })[0], {
    key: "efidisk0",
    what: 'EFI disk "local-lvm:vm-101-disk-1", 4 MiB',
    reason: "the VM has no bios: ovmf",
  });
});

Deno.test("notHeld() names what a container's backup leaves out", () => {
  assert.deepEqual(
    notHeld("lxc", { values: CT }).map(({ key, what, reason }) => `${key}: ${what}; ${reason}`),
    [
      'mp1: mount point "data:subvol-105-disk-2" at "/cache", 10 GiB; backup=1 is not set',
      'mp2: bind mount "/srv/share" at "/share"; mounts from the host are never in a backup',
      'mp3: device mount "/dev/sdb1" at "/disk"; mounts from the host are never in a backup',
      'mp4: mount point "data:x" at "/off"; backup=1 is not set',
      'unused1: unused disk "data:subvol-105-disk-9"; unused disks are never in a backup',
    ],
  );
  assert.deepEqual(notHeld("lxc", { values: { rootfs: "a:b,size=1G" } }), []);
});

Deno.test("parseDiskSize() reads Proxmox's units", () => {
  const sizes = {
    "32G": 32 * GIB,
    "1.5G": 1.5 * GIB,
    "528K": 540672,
    "4M": 4194304,
    "1T": 2 ** 40,
    "4096": 4096,
    "0": 0,
  };
  for (const [text, size] of Object.entries(sizes)) assert.equal(parseDiskSize(text), size, text);
  for (const text of ["", "G", "1P", "1 G", "-1G", "1g", "1e3"]) {
    assert.equal(parseDiskSize(text), undefined, text);
  }
});

Deno.test("vmDisksOf() takes keys from the map lines, else from the devices' names, made harmless", () => {
  const map = { format: "raw" };
  const maps = [
    { key: "scsi0", device: "drive-scsi0", storage: "local-lvm", ...map },
    { key: "tpmstate0", device: "drive-tpmstate0-backup", storage: "", ...map },
  ];
  const names = [
    "drive-scsi0",
    "drive-tpmstate0-backup",
    "drive-efidisk0",
    "drive-tpmstate1-backup",
    "vmstate",
    "../../etc/x y",
  ];
  assert.deepEqual(vmDisksOf(names.map((name) => ({ name, size: 65536 })), maps), [
    { key: "scsi0", size: 65536, storage: "local-lvm" },
    { key: "tpmstate0", size: 65536 },
    { key: "efidisk0", size: 65536 },
    { key: "tpmstate1", size: 65536 },
    { key: "______etc_x_y", size: 65536 },
  ]);
});

Deno.test("containerDisks() lists the rootfs and the mount points that are in the backup", () => {
  assert.deepEqual(containerDisks(CT), [
    { key: "mp0", size: 100 * GIB, storage: "data" },
    { key: "rootfs", size: 8 * GIB, storage: "local-lvm" },
  ]);
  assert.deepEqual(containerDisks({ rootfs: "/srv/ct" }), [{ key: "rootfs", size: 0 }]);
});
