import assert from "node:assert/strict";
import { restoreArgv, restorePercentOf, type RestoreRequest } from "../../../src/proxmox/restore_tools.ts";
import { complaints, RELEASES } from "./pve_options.ts";

const VM = "/var/lib/vz/dump/plakar-proxmox-01/101/vzdump-qemu-101-2026_01_31-12_00_00.vma.zst";
const CT = "/var/lib/vz/dump/plakar-proxmox-01/105/vzdump-lxc-105-2026_01_31-12_00_00.tar.zst";

function request(given: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    target: { vmid: 101, kind: "qemu" },
    archivePath: VM,
    replace: false,
    unique: false,
    logDir: "/tmp",
    hold: "/tmp/busy",
    onLog: () => {},
    ...given,
  };
}

Deno.test("restoreArgv() puts archive and vmid in each tool's own order", () => {
  assert.deepEqual(restoreArgv(request()), ["qmrestore", VM, "101"]);
  const container = request({ target: { vmid: 105, kind: "lxc" }, archivePath: CT });
  assert.deepEqual(restoreArgv(container), ["pct", "restore", "105", CT]);
});

Deno.test("restoreArgv() forces only where it replaces", () => {
  assert.ok(!restoreArgv(request()).includes("--force"));
  assert.deepEqual(restoreArgv(request({ replace: true })).slice(3), ["--force", "1"]);
});

Deno.test("restoreArgv() gives every flag its value", () => {
  const all = request({ replace: true, storage: "fast", pool: "prod/web", unique: true, bwlimit: 0 });
  assert.deepEqual(restoreArgv(all).slice(3), [
    ...["--force", "1"],
    ...["--storage", "fast"],
    ...["--pool", "prod/web"],
    ...["--unique", "1"],
    ...["--bwlimit", "0"],
  ]);
});

Deno.test("restoreArgv() gives a container's volumes by their keys", () => {
  const volumes = { rootfs: "big:4,acl=1", mp0: "slow:2,mp=/da ta,backup=1" };
  const container = request({ target: { vmid: 105, kind: "lxc" }, archivePath: CT, volumes });
  const expected = ["--rootfs", "big:4,acl=1", "--mp0", "slow:2,mp=/da ta,backup=1"];
  assert.deepEqual(restoreArgv(container).slice(4), expected);
  for (const release of RELEASES) assert.deepEqual(complaints(release, restoreArgv(container)), [], release);
});

Deno.test("restoreArgv() has an archive fed to either tool, and says what a container is", () => {
  const vm = request({ archivePath: "-" });
  assert.deepEqual(restoreArgv(vm), ["qmrestore", "-", "101"]);
  const volumes = { rootfs: "big:4" };
  const target = { vmid: 105, kind: "lxc" } as const;
  const container = request({ target, archivePath: "-", volumes, unprivileged: true });
  const expected = ["pct", "restore", "105", "-", "--rootfs", "big:4", "--unprivileged", "1"];
  assert.deepEqual(restoreArgv(container), expected);
  for (const release of RELEASES) {
    for (const one of [vm, container]) assert.deepEqual(complaints(release, restoreArgv(one)), [], release);
  }
});

Deno.test("restoreArgv() builds nothing that a release refuses", () => {
  const extremes: Partial<RestoreRequest>[] = [
    {},
    { replace: true, storage: "ab", pool: "p", unique: true, bwlimit: 0 },
    { replace: true, storage: "a-b_c.d1", pool: "A.1/b-2/c_3", unique: true, bwlimit: 2 ** 31 },
  ];
  const targets = [
    { target: { vmid: 100, kind: "qemu" }, archivePath: VM },
    { target: { vmid: 999_999_999, kind: "lxc" }, archivePath: CT },
  ] as const;
  for (const release of RELEASES) {
    for (const target of targets) {
      for (const given of extremes) {
        const argv = restoreArgv(request({ ...given, ...target }));
        assert.deepEqual(complaints(release, argv), [], `${release}: ${argv.join(" ")}`);
      }
    }
  }
});

Deno.test("restorePercentOf() reads qmrestore's progress lines, at most 100", () => {
  assert.equal(restorePercentOf("progress 5% (read 1717986918 bytes, duration 3 sec)"), 5);
  assert.equal(restorePercentOf("progress 103% (read 1 bytes, duration 3 sec)"), 100);
  assert.equal(restorePercentOf("space reduction due to 4K zero blocks 5%"), undefined);
  assert.equal(restorePercentOf("restore progress 5% (x)"), undefined);
});
