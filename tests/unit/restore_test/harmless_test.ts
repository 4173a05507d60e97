import assert from "node:assert/strict";
import {
  deviations,
  foreignVolumes,
  harmfulKeys,
  harmlessEdit,
  memoryOf,
  rawLines,
} from "../../../src/restore_test/harmless.ts";

const VM = {
  agent: "enabled=1,fstrim_cloned_disks=1",
  bios: "ovmf",
  boot: "order=scsi0;net0",
  cores: "2",
  efidisk0: "local-lvm:vm-200-disk-1,efitype=4m,size=4M",
  ide2: "none,media=cdrom",
  ipconfig0: "ip=dhcp",
  memory: "2048",
  name: "web",
  numa0: "cpus=0,memory=1024",
  sata0: "local:iso/debian.iso,media=cdrom,size=600M",
  scsi0: "local:200/vm-200-disk-0.qcow2,discard=on,size=8G",
  scsi1: "local-lvm:vm-200-cloudinit,media=cdrom",
  serial0: "socket",
  smbios1: "uuid=11111111-2222-3333-4444-555555555555",
  unused0: "zfs:base-200-disk-3",
  vga: "serial0",
};

Deno.test("harmfulKeys() lets a VM keep what reaches nothing but itself", () => {
  assert.deepEqual(harmfulKeys("qemu", VM, 200), []);
});

Deno.test("harmfulKeys() names what would reach the host, the network or another guest", () => {
  const harmful = {
    args: "-device vfio-pci",
    autostart: "1",
    hookscript: "local:snippets/h.pl",
    hostpci0: "0000:01:00.0",
    ide0: "cdrom,media=cdrom",
    ide1: "/dev/sr0,media=cdrom",
    ivshmem: "size=32,name=shared",
    net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    net1: "virtio=BC:24:11:00:00:02,bridge=vmbr0,link_down=0",
    onboot: "1",
    parallel0: "/dev/parport0",
    protection: "1",
    sata1: "local-lvm:vm-101-disk-0,size=8G",
    sata2: "local-lvm:vm-2001-disk-0,size=8G",
    scsi3: "/dev/disk/by-id/ata-x,size=8G",
    scsi4: "iscsi:0.0.1.scsi-36001405,size=8G",
    serial1: "/dev/ttyS0",
    startup: "order=1",
    "some-future-key": "1",
    unused1: "local-lvm:vm-101-disk-7",
    usb0: "host=1234:5678",
    virtio0: "local-lvm:vm-101-cloudinit,media=cdrom",
    virtiofs0: "dirid=share",
    vmstate: "local-lvm:vm-200-state-x",
  };
  assert.deepEqual(harmfulKeys("qemu", { ...VM, ...harmful }, 200), Object.keys(harmful));
});

Deno.test("harmfulKeys() takes networks, devices and mounts from the host off a container", () => {
  const own = {
    arch: "amd64",
    cores: "1",
    features: "nesting=1",
    hostname: "mail",
    memory: "512",
    mp0: "local-lvm:vm-200-disk-1,mp=/data,backup=1,size=1G",
    rootfs: "zfs:subvol-200-disk-0,size=4G",
    unprivileged: "1",
  };
  const harmful = {
    dev0: "/dev/ttyUSB0",
    hookscript: "local:snippets/h.pl",
    "lxc.mount.entry": "/srv srv none bind",
    mp1: "/srv/data,mp=/srv",
    mp2: "/dev/sdb1,mp=/disk",
    mp3: "local-lvm:vm-105-disk-1,mp=/theirs",
    net0: "name=eth0,bridge=vmbr0,link_down=1",
    onboot: "1",
    protection: "1",
  };
  assert.deepEqual(harmfulKeys("lxc", { ...own, ...harmful }, 200), Object.keys(harmful));
  assert.deepEqual(rawLines({ ...own, ...harmful }), ["lxc.mount.entry"]);
});

Deno.test("harmlessEdit() takes the links of a VM down, keeps the rest of its cards, and removes all else", () => {
  const config = {
    ...VM,
    net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=7",
    net1: "e1000=BC:24:11:00:00:02,link_down=0,bridge=vmbr1",
    onboot: "1",
    usb0: "host=1234:5678",
  };
  const edit = harmlessEdit("qemu", config, 200);
  assert.deepEqual(edit, {
    set: {
      net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=7,link_down=1",
      net1: "e1000=BC:24:11:00:00:02,bridge=vmbr1,link_down=1",
    },
    remove: ["onboot", "usb0"],
  });
  const { onboot: _, usb0: __, ...left } = config;
  const after = { ...left, ...edit.set };
  assert.deepEqual(harmlessEdit("qemu", after, 200), { set: {}, remove: [] });
});

Deno.test("deviations() finds what was not taken off, and what is not as it was set", () => {
  const wanted = { name: "restore-test-101", net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1" };
  // Proxmox may write the properties of a card in an order of its own.
  const good = { ...VM, ...wanted, net0: "bridge=vmbr0,link_down=1,virtio=BC:24:11:00:00:01" };
  assert.deepEqual(deviations("qemu", good, 200, wanted), []);
  assert.deepEqual(deviations("qemu", { ...good, onboot: "1" }, 200, wanted), ['"onboot" is still there']);
  assert.deepEqual(deviations("qemu", { ...good, name: "web" }, 200, wanted), [
    '"name" is not as it was set',
  ]);
  const otherMac = { ...good, net0: "virtio=BC:24:11:00:00:09,bridge=vmbr0,link_down=1" };
  assert.deepEqual(deviations("qemu", otherMac, 200, wanted), ['"net0" is not as it was set']);
});

Deno.test("foreignVolumes() names the volumes of other guests only", () => {
  const config = {
    ...VM,
    ide0: "/dev/sr0,media=cdrom",
    scsi2: "local:101/vm-101-disk-0.raw,size=8G",
    scsi3: "iscsi:0.0.1.scsi-36001405,size=8G",
    unused1: "zfs:base-101-disk-0",
  };
  assert.deepEqual(foreignVolumes("qemu", config, 200), ["scsi2", "unused1"]);
  assert.deepEqual(foreignVolumes("lxc", { rootfs: "volume=fast:subvol-7777-disk-0" }, 200), ["rootfs"]);
});

Deno.test("memoryOf() reads both forms of memory, and Proxmox' default", () => {
  assert.deepEqual(
    [memoryOf({ memory: "2048" }), memoryOf({ memory: "current=1024" }), memoryOf({})].map((bytes) =>
      bytes / 1024 ** 2
    ),
    [2048, 1024, 512],
  );
});
