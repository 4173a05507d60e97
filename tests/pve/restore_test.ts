import assert from "node:assert/strict";
import { SimNode, type SimOptions } from "./mod.ts";
import { only, type Outcome, run, start, until } from "./test_tools.ts";

const VM = { vmid: 101, name: "web", status: "stopped" };
const CT = { vmid: 105, kind: "lxc" as const, name: "ct", status: "stopped" };

/** A node with a dump of VM 101 and of CT 105. */
async function withDumps(
  options: SimOptions,
  use: (node: SimNode, vma: string, tar: string) => Promise<void>,
): Promise<void> {
  await using node = await SimNode.create({ guests: [VM, CT], ...options });
  const { code } = await run(node, "vzdump", [101, 105, "--dumpdir", node.dumpDir]);
  assert.equal(code, 0);
  await use(node, only(node.dumpDir, ".vma"), only(node.dumpDir, ".tar"));
}

/** Non-zero, this text on stderr, nothing on stdout. */
function assertRefused({ code, stdout, stderr }: Outcome, text: string): void {
  assert.notEqual(code, 0);
  assert.equal(stderr, text + "\n");
  assert.equal(stdout, "");
}

Deno.test("a restore never overwrites without --force", () =>
  withDumps({}, async (node, vma, tar) => {
    const vm = await run(node, "qmrestore", [vma, 101]);
    assertRefused(vm, "unable to restore VM 101 - VM 101 already exists on node 'pve1'");
    const other = await run(node, "qmrestore", [vma, 105]);
    assertRefused(other, "unable to restore VM 105 - CT 105 already exists on node 'pve1'");
    const ct = await run(node, "pct", ["restore", 105, tar, "--storage", "local-lvm"]);
    assertRefused(ct, "CT 105 already exists on node 'pve1'");
    const wrong = await run(node, "pct", ["restore", 101, tar, "--storage", "local-lvm", "--force", 1]);
    assertRefused(wrong, "VM 101 already exists on node 'pve1'");
    assert.deepEqual(node.locks().guests, {});
  }));

Deno.test("--force does not reach a container, nor another node's VM", () =>
  withDumps({ otherNodes: ["pve2"], guests: [VM, CT, { vmid: 107, node: "pve2" }] }, async (node, vma) => {
    for (const vmid of [105, 107]) {
      const outcome = await run(node, "qmrestore", [vma, vmid, "--force", 1]);
      const path = `/etc/pve/nodes/pve1/qemu-server/${vmid}.conf`;
      assertRefused(
        outcome,
        `unable to restore VM ${vmid} - close (rename) atomic file '${path}' failed: File exists`,
      );
    }
  }));

Deno.test("--force stops at a running guest, at protection and at a lock", () =>
  withDumps({}, async (node, vma, tar) => {
    const vm = () => run(node, "qmrestore", [vma, 101, "--force", 1]);
    const ct = () => run(node, "pct", ["restore", 105, tar, "--storage", "local-lvm", "--force", 1]);
    const before = [node.sha256(101, "scsi0"), node.guest(101)!.config, node.guest(105)!.config];
    node.startGuest(101);
    node.startGuest(105);
    const running = await vm();
    assert.deepEqual([running.code, running.stderr], [255, "unable to restore VM 101 - vm is running\n"]);
    assertRefused(await ct(), "can't overwrite running container");
    node.stopGuest(101);
    node.stopGuest(105);
    assert.deepEqual([node.sha256(101, "scsi0"), node.guest(101)!.config, node.guest(105)!.config], before);
    node.setConfig(101, { protection: "1" });
    node.setConfig(105, { protection: "1" });
    const guarded = await vm();
    assert.deepEqual([guarded.code, guarded.stderr], [
      255,
      "unable to restore VM 101 - - protection mode enabled\n",
    ]);
    assertRefused(await ct(), "unable to restore CT 105 - protection mode enabled");
    node.setConfig(101, { protection: null, lock: "backup" });
    node.setConfig(105, { protection: null, lock: "snapshot" });
    assertRefused(await vm(), "unable to restore VM 101 - VM is locked (backup)");
    assertRefused(await ct(), "unable to restore CT 105 - CT is locked (snapshot)");
  }));

Deno.test("--force replaces a VM: disks of the backup go, others become unused, snapshots are lost", () =>
  withDumps({}, async (node, vma) => {
    const digest = node.sha256(101, "scsi0");
    await run(node, "qm", ["set", 101, "--scsi5", "local-lvm:1", "--name", "changed"]);
    node.change((state) => state.guests[101]!.config += "\n[before]\nname: web\n");
    const kept = node.volume(101, "scsi5").id;
    const { code, stderr } = await run(node, "qmrestore", [vma, 101, "--force", 1]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    const guest = node.guest(101)!;
    assert.equal(guest.entries.name, "web");
    assert.equal(guest.entries.unused0, kept);
    assert.doesNotMatch(guest.config, /\[before\]/);
    assert.equal(node.sha256(101, "scsi0"), digest);
    assert.equal(Object.values(node.state().volumes).filter((volume) => volume.vmid === 101).length, 2);
  }));

Deno.test("--force replaces a container with all its volumes, archived or not", () =>
  withDumps({}, async (node, _vma, tar) => {
    const digest = node.sha256(105, "rootfs");
    await run(node, "pct", ["set", 105, "--mp0", "local-lvm:1,mp=/data"]);
    const { code } = await run(node, "pct", ["restore", 105, tar, "--storage", "local-lvm", "--force", 1]);
    assert.equal(code, 0);
    assert.equal(node.guest(105)!.entries.mp0, undefined);
    assert.equal(node.sha256(105, "rootfs"), digest);
    assert.equal(Object.values(node.state().volumes).filter((volume) => volume.vmid === 105).length, 1);
  }));

Deno.test("a failed restore leaves a stub VM, and no container", () =>
  withDumps({}, async (node, vma, tar) => {
    node.fault(201, { restoreFailsAfterDestroy: "simulated" });
    node.fault(205, { restoreFailsAfterDestroy: "simulated" });
    const vm = await run(node, "qmrestore", [vma, 201]);
    assert.equal(vm.code, 255);
    assert.equal(vm.stderr, "simulated\n");
    assert.match(vm.stdout, /error before or during data restore, .* VM 201 state is NOT cleaned up\.\n$/);
    assert.deepEqual(node.guest(201)!.entries, { memory: "128" });
    const again = await run(node, "qmrestore", [vma, 201]);
    assertRefused(again, "unable to restore VM 201 - VM 201 already exists on node 'pve1'");
    const ct = await run(node, "pct", ["restore", 205, tar, "--storage", "local-lvm"]);
    assert.deepEqual([ct.code, ct.stderr], [255, "unable to restore CT 205 - simulated\n"]);
    assert.equal(node.guest(205), undefined);
    assert.ok(!Object.values(node.state().volumes).some((volume) => volume.vmid > 200));
  }));

Deno.test("a failed replace: before the destruction all is intact, after it the guest is gone", () =>
  withDumps({}, async (node, vma, tar) => {
    const replace = async () => [
      (await run(node, "qmrestore", [vma, 101, "--force", 1])).code,
      (await run(node, "pct", ["restore", 105, tar, "--storage", "local-lvm", "--force", 1])).code,
    ];
    const before = [node.guest(101)!.config, node.guest(105)!.config, node.sha256(101, "scsi0")];
    for (const vmid of [101, 105]) node.fault(vmid, { restoreFailsBeforeDestroy: "simulated" });
    assert.deepEqual(await replace(), [255, 255]);
    assert.deepEqual([node.guest(101)!.config, node.guest(105)!.config, node.sha256(101, "scsi0")], before);
    for (const vmid of [101, 105]) node.fault(vmid, { restoreFailsAfterDestroy: "simulated" });
    assert.deepEqual(await replace(), [255, 255]);
    assert.deepEqual(node.guest(101)!.entries, { memory: "128" });
    assert.equal(node.guest(105), undefined);
  }));

Deno.test("SIGTERM ends a hanging restore with the tools' own cleanup", () =>
  withDumps({}, async (node, vma) => {
    node.fault(201, { restoreHangs: "after-destroy" });
    const child = start(node, "qmrestore", [vma, 201]);
    await until("the stub stands", () => node.guest(201)?.entries.memory === "128");
    child.kill("SIGTERM");
    const { code, stderr } = await child.output();
    assert.deepEqual([code, new TextDecoder().decode(stderr)], [255, "received interrupt\n"]);
    assert.deepEqual(node.locks().guests, {});
  }));

Deno.test("SIGTERM reaches a qmrestore that waits for its input", async () => {
  await using node = await SimNode.create();
  const child = start(node, "qmrestore", ["-", 201], "piped");
  await until("the configuration is locked", () => node.locks().guests[201] === "create");
  await until("the worker reads", () => node.processes().length === 1);
  child.kill("SIGTERM");
  const { code, stderr } = await child.output();
  await child.stdin.close().catch(() => {});
  assert.deepEqual([code, new TextDecoder().decode(stderr)], [255, "received interrupt\n"]);
  assert.deepEqual(node.guest(201)!.entries, {});
});

Deno.test("a name with an impossible date cannot be restored", () =>
  withDumps({}, async (node, vma) => {
    for (const date of ["2024_13_01-00_00_00", "2024_02_30-00_00_00", "2024_01_01-25_00_00"]) {
      const path = `${node.dir}/vzdump-qemu-101-${date}.vma`;
      await Deno.copyFile(vma, path);
      const { code, stderr } = await run(node, "qmrestore", [path, 201, "--force", 1]);
      assert.equal(code, 255);
      assert.match(stderr, /out of range \d+\.\.\d+ at /);
    }
  }));

Deno.test("missing files, FIFOs and names that are no archive's", () =>
  withDumps({}, async (node, vma, tar) => {
    const missing = await run(node, "qmrestore", ["/nowhere/vzdump-qemu-1.vma", 201]);
    assertRefused(missing, "can't find file '/nowhere/vzdump-qemu-1.vma'");
    assert.equal(node.guest(201), undefined);
    const fifo = `${node.dir}/vzdump-qemu-1.vma`;
    await new Deno.Command("mkfifo", { args: [fifo] }).output();
    assertRefused(await run(node, "qmrestore", [fifo, 201]), `can't find file '${fifo}'`);
    const ct = await run(node, "pct", ["restore", 205, "/nowhere/x.tar", "--storage", "local-lvm"]);
    assert.deepEqual([ct.code, ct.stderr], [
      255,
      "unable to restore CT 205 - can't find file '/nowhere/x.tar'\n",
    ]);
    assert.equal(node.guest(205), undefined);
    await Deno.symlink(vma, `${node.dir}/odd.vma`);
    const renamed = `${node.dir}/backup.vma`;
    await Deno.copyFile(vma, renamed);
    await Deno.symlink(renamed, `${node.dir}/vzdump-qemu-2.vma`);
    for (const path of [renamed, `${node.dir}/vzdump-qemu-2.vma`]) {
      const outcome = await run(node, "qmrestore", [path, 201, "--force", 1]);
      assert.deepEqual([outcome.code, outcome.stderr], [
        255,
        `ERROR: couldn't determine archive info from '${renamed}'\n`,
      ]);
      assert.deepEqual(node.guest(201)!.entries, {});
    }
    assert.equal((await run(node, "qmrestore", [`${node.dir}/odd.vma`, 201, "--force", 1])).code, 0);
    const volume = await run(node, "qmrestore", ["abc:def", 202]);
    assertRefused(volume, "storage 'abc' does not exist");
    const tgz = `${node.dir}/vzdump-lxc-105-2024_01_02-03_04_05.tgz`;
    await Deno.copyFile(tar, tgz);
    const refused = await run(node, "pct", ["restore", 205, tgz, "--storage", "local-lvm"]);
    assert.equal(
      refused.stderr,
      `unable to restore CT 205 - file does not look like a template archive: ${tgz}\n`,
    );
    const foo = `${node.dir}/x.tar.foo`;
    await Deno.copyFile(tar, foo);
    const odd = await run(node, "pct", ["restore", 205, foo, "--storage", "local-lvm"]);
    assert.equal(odd.stderr, "unable to restore CT 205 - unrecognized compression format: .foo\n");
  }));

Deno.test("archives of the wrong kind", () =>
  withDumps({}, async (node, vma, tar) => {
    const vm = await run(node, "qmrestore", [tar, 201]);
    assert.deepEqual([vm.code, vm.stderr], [
      255,
      `ERROR: file '${tar}' does not look like a QemuServer vzdump backup\n`,
    ]);
    assert.deepEqual(node.guest(201)!.entries, {});
    const ct = await run(node, "pct", ["restore", 205, vma, "--storage", "local-lvm"]);
    assert.equal(ct.stderr, "unable to restore CT 205 - ERROR: archive contains no configuration file\n");
  }));

Deno.test("truncated archives: VMA dies of signal 5 or exit code 133, tar of exit code 2", () =>
  withDumps({}, async (node, vma, tar) => {
    const bytes = await Deno.readFile(vma);
    const cut = `${node.dir}/vzdump-qemu-cut.vma`;
    await Deno.writeFile(cut, bytes.subarray(0, bytes.length - 5000));
    const plain = await run(node, "qmrestore", [cut, 201]);
    assert.equal(plain.code, 255);
    assert.match(
      plain.stdout,
      /ERROR \*\*: \d\d:\d\d:\d\d\.000: restore failed - short vma extent \(\d+ < \d+\)\n/,
    );
    assert.match(plain.stdout, /temporary volume 'local-lvm:vm-201-disk-0' successfully removed/);
    assert.match(plain.stderr, /^command 'set -o pipefail && vma extract -v -r .*' failed: got signal 5\n$/);
    await new Deno.Command("zstd", { args: ["-q", cut] }).output();
    const compressed = await run(node, "qmrestore", [`${cut}.zst`, 202]);
    assert.match(
      compressed.stderr,
      /^command 'set -o pipefail && zstd -q -d -c .* \| vma extract .*' failed: exit code 133\n$/,
    );
    assert.match(compressed.stdout, /Trace\/breakpoint trap/);
    const half = `${node.dir}/half.tar`;
    await Deno.writeFile(half, (await Deno.readFile(tar)).subarray(0, 30_000));
    const broken = await run(node, "pct", ["restore", 205, half, "--storage", "local-lvm"]);
    assert.match(
      broken.stderr,
      /^unable to restore CT 205 - command 'lxc-usernsexec .* tar xpf .*' failed: exit code 2\n$/,
    );
    const ignored = ["restore", 205, half, "--storage", "local-lvm", "--ignore-unpack-errors", 1];
    assert.equal((await run(node, "pct", ignored)).code, 0);
  }));

Deno.test("qmrestore - hides every cause behind the header's time limit", () =>
  withDumps({ knobs: { timeScale: 0.01 } }, async (node, vma) => {
    const bytes = await Deno.readFile(vma);
    const damaged = bytes.slice();
    damaged[100]! ^= 1;
    for (
      const input of [
        new Uint8Array(0),
        bytes.subarray(0, 4000),
        new TextEncoder().encode("no archive"),
        damaged,
      ]
    ) {
      const outcome = await run(node, "qmrestore", ["-", 201, "--force", 1], { input });
      assert.equal(outcome.code, 255);
      assert.match(outcome.stderr, /vma extract .* failed: got timeout reading VMA header - corrupted\?\n$/);
    }
  }));

Deno.test("old releases give the header 5 s and another text", () =>
  withDumps({ release: "7.4", knobs: { timeScale: 0.01 } }, async (node) => {
    const { stderr } = await run(node, "qmrestore", ["-", 201], { input: new Uint8Array(0) });
    assert.match(stderr, /failed: got timeout\n$/);
  }));

Deno.test("pct restore - needs rootfs, loses unprivileged, and takes an uncompressed tar only", () =>
  withDumps({}, async (node, _vma, tar) => {
    const input = await Deno.readFile(tar);
    const refused = await run(node, "pct", ["restore", 205, "-", "--storage", "local-lvm"]);
    assertRefused(refused, "restore from pipe requires rootfs parameter");
    const mp = await run(node, "pct", ["restore", 205, tar, "--mp0", "local-lvm:1,mp=/data"]);
    assertRefused(mp, "mount points configured, but 'rootfs' not set - aborting");
    const good = await run(node, "pct", ["restore", 205, "-", "--rootfs", "local-lvm:2"], { input });
    assert.equal(good.code, 0);
    const { entries } = node.guest(205)!;
    assert.equal(entries.unprivileged, undefined);
    assert.equal(entries.hostname, "ct");
    assert.match(entries.rootfs!, /,size=2G$/);
    const kept = await run(
      node,
      "pct",
      ["restore", 206, "-", "--rootfs", "local-lvm:2", "--unprivileged", 1],
      { input },
    );
    assert.equal(kept.code, 0);
    assert.equal(node.guest(206)!.entries.unprivileged, "1");
    const zipped = new Uint8Array(
      await new Response(new Blob([input]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
    );
    const compressed = await run(node, "pct", ["restore", 207, "-", "--rootfs", "local-lvm:2"], {
      input: zipped,
    });
    assert.equal(compressed.code, 255);
    assert.match(compressed.stdout, /Archive is compressed\. Use -z option/);
    const empty = await run(node, "pct", ["restore", 207, "-", "--rootfs", "local-lvm:2"], {
      input: new Uint8Array(0),
    });
    assert.match(empty.stdout, /This does not look like a tar archive/);
    assert.match(empty.stderr, /failed: exit code 2\n$/);
  }));

Deno.test("storages are checked: existence, content, node, space", () =>
  withDumps({
    otherNodes: ["pve2"],
    storages: [
      { id: "off", type: "dir", enabled: false },
      { id: "away", type: "dir", nodes: ["pve2"] },
      { id: "small", type: "dir", total: 1000 },
    ],
  }, async (node, vma, tar) => {
    const vm = (storage: string) => run(node, "qmrestore", [vma, 201, "--storage", storage, "--force", 1]);
    const ct = (storage: string) => run(node, "pct", ["restore", 205, tar, "--storage", storage]);
    for (const attempt of [vm, ct]) {
      assertRefused(await attempt("none"), "storage 'none' does not exist");
      assertRefused(await attempt("off"), "storage 'off' is disabled");
      assertRefused(await attempt("away"), "storage 'away' is not available on node 'pve1'");
      assert.equal(node.guest(201) ?? node.guest(205), undefined);
    }
    const noContent = await ct("local");
    assert.match(
      noContent.stderr,
      /^400 Parameter verification failed\.\nstorage: storage 'local' does not support container directories\n/,
    );
    assert.equal((await run(node, "pct", ["restore", 205, tar])).stderr, noContent.stderr);
    assert.match(
      (await vm("local")).stderr,
      /failed: Content type 'images' is not available on storage 'local'\n$/,
    );
    assert.match((await vm("small")).stderr, /failed: not enough free space \(1000 < 4194304\)\n$/);
    assert.match((await ct("small")).stderr, /^unable to restore CT 205 - not enough free space/);
    assert.equal(node.guest(205), undefined);
  }));

Deno.test("pools: unknown refuses, known gets the guest at the end", () =>
  withDumps({ pools: ["lab"] }, async (node, vma, tar) => {
    const text = "403 Permission check failed (pool 'nope' does not exist)";
    assertRefused(await run(node, "qmrestore", [vma, 201, "--pool", "nope"]), text);
    assertRefused(
      await run(node, "pct", ["restore", 205, tar, "--storage", "local-lvm", "--pool", "nope"]),
      text,
    );
    assert.equal((await run(node, "qmrestore", [vma, 201, "--pool", "lab"])).code, 0);
    assert.equal(node.guest(201)!.pool, "lab");
  }));

Deno.test("qmrestore places disks by the map lines, --storage overrides, left-out disks become comments", async () => {
  const disks = [
    { key: "scsi0", size: "1M", storage: "fast" },
    { key: "scsi1", size: "1M", storage: "big" },
    { key: "scsi2", size: "1M", options: "backup=0" },
  ];
  const storages = [{ id: "fast", type: "dir" }, { id: "big", type: "dir" }, { id: "other", type: "dir" }];
  await using node = await SimNode.create({ storages, guests: [{ vmid: 101, disks }] });
  const { bytes: input } = await run(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  assert.equal((await run(node, "qmrestore", ["-", 201], { input })).code, 0);
  assert.match(node.guest(201)!.entries.scsi0!, /^fast:/);
  assert.match(node.guest(201)!.entries.scsi1!, /^big:/);
  assert.match(node.guest(201)!.config, /^#scsi2: local-lvm:vm-101-disk-0,backup=0,size=1M$/m);
  assert.equal((await run(node, "qmrestore", ["-", 202, "--storage", "other"], { input })).code, 0);
  assert.match(node.guest(202)!.entries.scsi1!, /^other:/);
});

Deno.test("qmrestore refuses a storage that a cloud-init drive's own line names, before anything is lost", async () => {
  const config = { ide2: "gone:vm-101-cloudinit,media=cdrom" };
  await using node = await SimNode.create({ guests: [{ ...VM, config }] });
  const { bytes: input } = await run(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  const digest = node.sha256(101, "scsi0");
  const refused = await run(node, "qmrestore", ["-", 101, "--force", 1], { input });
  assert.match(refused.stderr, /failed: storage 'gone' does not exist\n$/);
  assert.equal(node.sha256(101, "scsi0"), digest);
  const argv = ["-", 101, "--force", 1, "--storage", "local-lvm"];
  assert.equal((await run(node, "qmrestore", argv, { input })).code, 0);
  assert.match(node.guest(101)!.entries.ide2!, /^local-lvm:/);
});

Deno.test("--start and --ha-managed are unknown to qmrestore before 9.1", () =>
  withDumps({}, async (node, vma) => {
    const { code, stderr } = await run(node, "qmrestore", [vma, 201, "--start", 1]);
    assert.equal(code, 255);
    assert.match(
      stderr,
      /^Unknown option: start\n400 unable to parse option\nqmrestore <archive> <vmid> \[OPTIONS\]\n$/,
    );
    node.change((state) => state.release = "9.1");
    assert.equal((await run(node, "qmrestore", [vma, 201, "--start", 1])).code, 0);
    assert.equal(node.guest(201)!.status, "running");
  }));

Deno.test("an archive argument has at most 255 characters", () =>
  withDumps({}, async (node) => {
    const { code, stderr } = await run(node, "qmrestore", [`/${"x".repeat(255)}`, 201]);
    assert.equal(code, 255);
    assert.match(
      stderr,
      /^400 Parameter verification failed\.\narchive: value may only be 255 characters long\n/,
    );
  }));
