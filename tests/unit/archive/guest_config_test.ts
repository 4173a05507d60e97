import assert from "node:assert/strict";
import {
  decodeText,
  guestIdentity,
  parseGuestConfig,
  parseProperties,
  sameGuest,
  valuesOf,
} from "../../../src/archive/guest_config.ts";

const VM_CONF = `#The web server%0A
#second line
boot: order=scsi0
name: web
scsi0: local-lvm:vm-101-disk-0,size=32G
parent: before-update
#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:
#qmdump#map:scsi1:drive-scsi1::raw:

[PENDING]
memory: 4096

[before-update]
name: old
scsi0: local-lvm:vm-101-disk-9,size=1G
[special:cloudinit]
name: x
[with.dots_1]
`;

Deno.test("parseGuestConfig() keeps the current section apart from pending changes and snapshots", () => {
  const config = parseGuestConfig(VM_CONF);
  assert.deepEqual(config.values, {
    boot: "order=scsi0",
    name: "web",
    scsi0: "local-lvm:vm-101-disk-0,size=32G",
    parent: "before-update",
  });
  assert.deepEqual(config.description, ["The web server%0A", "second line"]);
  assert.deepEqual(config.snapshots, ["before-update", "with.dots_1"]);
  assert.deepEqual(config.maps, [
    { key: "scsi0", device: "drive-scsi0", storage: "local-lvm", format: "raw" },
    { key: "scsi1", device: "drive-scsi1", storage: "", format: "raw" },
  ]);
});

Deno.test("parseGuestConfig() reads a container's file, its lxc lines and pending section too", () => {
  const config = parseGuestConfig(
    "hostname: web\r\nlxc.cap.drop: sys_admin\r\n[pve:pending]\r\nhostname: new\r\n[a]\r\n",
  );
  assert.deepEqual(config.values, { hostname: "web", "lxc.cap.drop": "sys_admin" });
  assert.deepEqual(config.snapshots, ["a"]);
});

Deno.test("parseGuestConfig() survives any text and keys that objects have by birth", () => {
  assert.deepEqual(parseGuestConfig("").values, {});
  assert.deepEqual(parseGuestConfig("\0\0[\n:\nno colon\nconstructor: x\n__proto__: y\n").values, {
    constructor: "x",
  });
});

Deno.test("decodeText() reads UTF-8, and Latin-1 where it is not UTF-8", () => {
  assert.equal(decodeText(new TextEncoder().encode("name: gr\u00fcn")), "name: gr\u00fcn");
  assert.equal(decodeText(new Uint8Array([0x67, 0x72, 0xfc, 0x6e, 0x85])), "gr\u00fcn\u0085");
  assert.equal(decodeText(new Uint8Array(8).subarray(2, 2)), "");
});

Deno.test("valuesOf() makes strings of what pvesh answers", () => {
  assert.deepEqual(valuesOf({ memory: 512, name: "web", lxc: [["a", "b"]], none: null }), {
    memory: "512",
    name: "web",
  });
});

Deno.test("parseProperties() takes a value apart", () => {
  assert.deepEqual(parseProperties("local:iso/x.iso, media=cdrom", "file"), {
    file: "local:iso/x.iso",
    media: "cdrom",
  });
  assert.deepEqual(parseProperties("fast:vm-1-disk-0,size=1G,ssd=1", "file"), {
    file: "fast:vm-1-disk-0",
    size: "1G",
    ssd: "1",
  });
  assert.deepEqual(parseProperties("file=/dev/sdb,backup=0", "file"), { file: "/dev/sdb", backup: "0" });
});

const UUID = "8D5A9F2E-0000-4000-8000-000000000001";
const VM = {
  name: "web",
  smbios1: `uuid=${UUID},base64=1`,
  net0: "virtio=bc:24:11:00:00:01,bridge=vmbr0",
  net1: "model=e1000,macaddr=BC:24:11:00:00:02",
};

Deno.test("guestIdentity() reads uuid, name and every MAC address", () => {
  assert.deepEqual(guestIdentity("qemu", VM), {
    uuid: UUID.toLowerCase(),
    name: "web",
    macs: ["BC:24:11:00:00:01", "BC:24:11:00:00:02"],
  });
  assert.deepEqual(
    guestIdentity("lxc", {
      hostname: "db",
      net0: "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:03,ip=dhcp",
      netmask: "x",
    }),
    { name: "db", macs: ["BC:24:11:00:00:03"] },
  );
  assert.deepEqual(guestIdentity("qemu", {}), { macs: [] });
});

Deno.test("sameGuest() tells VMs by uuid where both have one, else by name and a MAC address", () => {
  const own = guestIdentity("qemu", VM);
  const renamed = guestIdentity("qemu", { smbios1: `uuid=${UUID.toLowerCase()}` });
  const { smbios1: _, ...rest } = VM;
  const withoutUuid = guestIdentity("qemu", rest);
  assert.equal(sameGuest("qemu", own, renamed), true);
  assert.equal(
    sameGuest(
      "qemu",
      own,
      guestIdentity("qemu", { ...VM, smbios1: "uuid=8d5a9f2e-0000-4000-8000-000000000002" }),
    ),
    false,
  );
  assert.equal(sameGuest("qemu", own, withoutUuid), true);
  assert.equal(sameGuest("qemu", own, guestIdentity("qemu", { ...rest, name: "other" })), false);
  assert.equal(
    sameGuest("qemu", own, guestIdentity("qemu", { name: "web", net0: "virtio=bc:24:11:ff:00:01" })),
    false,
  );
});

Deno.test("sameGuest() tells containers by hostname and a MAC address, and knows nothing about empty ones", () => {
  const own = { name: "db", macs: ["BC:24:11:00:00:03"] };
  assert.equal(sameGuest("lxc", own, { name: "db", macs: ["AA:24:11:00:00:03", "BC:24:11:00:00:03"] }), true);
  assert.equal(sameGuest("lxc", own, { name: "db", macs: [] }), false);
  assert.equal(sameGuest("lxc", { macs: own.macs }, { macs: own.macs }), false);
  assert.equal(sameGuest("qemu", { macs: [] }, { macs: [] }), false);
});
