import assert from "node:assert/strict";
import { SimNode, type SimOptions } from "./mod.ts";
import { names, only, type Outcome, run } from "./test_tools.ts";

const VM = { vmid: 101, name: "web" };
const CT = { vmid: 105, kind: "lxc" as const, name: "ct" };

/** One vzdump call on a fresh node. */
async function vzdump(
  options: SimOptions,
  args: readonly (string | number)[],
  check: (outcome: Outcome, node: SimNode) => void | Promise<void>,
  prepare: (node: SimNode) => void = () => {},
): Promise<void> {
  await using node = await SimNode.create(options);
  prepare(node);
  const dumpdir = args.includes("--dumpdir") || args.includes("--storage") || args.includes("--no-dumpdir");
  const words = args.filter((word) => word !== "--no-dumpdir");
  const outcome = await run(node, "vzdump", dumpdir ? words : [...words, "--dumpdir", node.dumpDir]);
  await check(outcome, node);
  assert.equal(node.locks().vzdump, false);
}

Deno.test("vzdump to a file logs on stdout, leaves archive and log, nothing else", () =>
  vzdump({ guests: [VM] }, [101], ({ code, stdout, stderr }, node) => {
    assert.equal(code, 0);
    assert.equal(stderr, "");
    assert.match(stdout, /^INFO: starting new backup job: vzdump 101 /);
    assert.match(
      stdout,
      /INFO: creating vzdump archive '.*\/vzdump-qemu-101-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.vma'/,
    );
    assert.match(stdout, /INFO: 100% \(4\.0 MiB of 4\.0 MiB\) in 0s, read: .*\/s, write: .*\/s/);
    assert.match(stdout, /INFO: archive file size: \d+MB\nINFO: Finished Backup of VM 101 \(00:00:0\d\)/);
    assert.match(stdout, /INFO: Backup job finished successfully\n$/);
    const left = names(node.dumpDir);
    assert.equal(left.length, 2);
    assert.match(left[0]!, /^vzdump-qemu-101-.*\.log$/);
    assert.match(left[1]!, /^vzdump-qemu-101-.*\.vma$/);
    assert.deepEqual(node.locks().guests, {});
    const log = Deno.readTextFileSync(`${node.dumpDir}/${left[0]}`);
    assert.match(log, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO: Starting Backup of VM 101 \(qemu\)\n/);
    assert.doesNotMatch(log, /Backup started at|starting new backup job/);
  }));

Deno.test("vzdump --stdout carries raw bytes only, the log goes to stderr and its copy stays in dumpdir", () =>
  vzdump({ guests: [VM] }, [101, "--stdout", 1], ({ code, bytes, stderr }, node) => {
    assert.equal(code, 0);
    assert.deepEqual([...bytes.subarray(0, 4)], [0x56, 0x4d, 0x41, 0]);
    assert.match(stderr, /INFO: sending archive to stdout/);
    assert.doesNotMatch(stderr, /archive file size/);
    assert.match(names(node.dumpDir).join(), /^vzdump-qemu-101-[^,]*\.log$/);
  }));

Deno.test("vzdump --quiet prints nothing but keeps its exit status", () =>
  vzdump({ guests: [VM] }, [101, 999, "--quiet", 1], ({ code, stdout, stderr }) => {
    assert.deepEqual([code, stdout, stderr], [255, "", ""]);
  }));

for (const args of [[107], [107, "--stdout", 1], [101, "--node", "pve2"]]) {
  Deno.test(`vzdump ${args.join(" ")} of another node's guest is a silent success`, () =>
    vzdump(
      { otherNodes: ["pve2"], guests: [VM, { vmid: 107, node: "pve2" }] },
      args,
      ({ code, stdout, stderr }, node) => {
        assert.deepEqual([code, stdout, stderr], [0, "", ""]);
        assert.deepEqual(names(node.dumpDir), []);
      },
    ));
}

Deno.test("vzdump does local guests and says which it skipped", () =>
  vzdump(
    { otherNodes: ["pve2"], guests: [VM, { vmid: 107, node: "pve2" }] },
    ["101,107"],
    ({ code, stdout }) => {
      assert.equal(code, 0);
      assert.match(stdout, /INFO: skip external VMs: 107\n/);
    },
  ));

Deno.test("vzdump fails for a vmid that exists nowhere and goes on with the others", () =>
  vzdump({ guests: [VM] }, [999, 101], ({ code, stdout, stderr }) => {
    assert.equal(code, 255);
    assert.equal(stderr, "job errors\n");
    assert.match(stdout, /ERROR: Backup of VM 999 failed - unable to find VM '999'\n/);
    assert.doesNotMatch(stdout, /Starting Backup of VM 999/);
    assert.match(stdout, /Finished Backup of VM 101/);
    assert.match(stdout, /INFO: Backup job finished with errors\n/);
  }));

for (const [guest, text] of [[VM, "VM is locked (backup)"], [CT, "CT is locked (backup)"]] as const) {
  Deno.test(`vzdump refuses a guest with a lock: ${text}`, () =>
    vzdump({ guests: [{ ...guest, lock: "backup" }] }, [guest.vmid], ({ code, stdout, stderr }, node) => {
      assert.equal(code, 255);
      assert.equal(stderr, "job errors\n");
      assert.ok(stdout.includes(`ERROR: Backup of VM ${guest.vmid} failed - ${text}\n`));
      assert.deepEqual(node.locks().guests, { [guest.vmid]: "backup" });
    }));
}

Deno.test("vzdump refuses --stdout when vzdump.conf names a storage and no dumpdir is given", () =>
  vzdump(
    { guests: [VM] },
    [101, "--stdout", 1, "--no-dumpdir"],
    ({ code, stderr, bytes }) => {
      assert.equal(code, 255);
      assert.equal(bytes.length, 0);
      assert.equal(stderr, "cannot use options 'storage' and 'stdout' at the same time\n");
    },
    (node) => node.setVzdumpConf("storage: local\n"),
  ));

Deno.test("vzdump with --dumpdir ignores the storage of vzdump.conf and keeps the rest", () =>
  vzdump(
    { guests: [VM] },
    [101, "--stdout", 1],
    ({ code, stderr }) => {
      assert.equal(code, 0);
      assert.match(stderr, /INFO: bandwidth limit: 20000 KiB\/s/);
      assert.match(stderr, /INFO: ionice priority: 8/);
    },
    (node) => node.setVzdumpConf("# defaults\nstorage: local\nbwlimit: 20000\nionice: 8\n"),
  ));

for (const args of [[101, 102, "--stdout", 1], ["--all", 1, "--stdout", 1]]) {
  Deno.test(`vzdump ${args.join(" ")} with two local guests is refused`, () =>
    vzdump({ guests: [VM, { vmid: 102 }] }, args, ({ code, stderr }) => {
      assert.notEqual(code, 0);
      assert.equal(stderr, "you can only backup a single VM with option --stdout\n");
    }));
}

const REFUSALS: [string, SimOptions, (string | number)[], RegExp][] = [
  ["missing dumpdir", {}, [101, "--dumpdir", "/nowhere/x"], /^dumpdir '\/nowhere\/x' does not exist\n$/],
  ["missing tmpdir", {}, [101, "--tmpdir", "/nowhere"], /^tmpdir '\/nowhere' does not exist\n$/],
  [
    "storage without backups",
    {},
    [101, "--storage", "local-lvm"],
    /^could not get storage information for 'local-lvm': can't use storage 'local-lvm' for backups - wrong content type\n$/,
  ],
  [
    "unknown storage",
    {},
    [101, "--storage", "nope"],
    /^could not get storage information for 'nope': storage 'nope' does not exist\n$/,
  ],
  [
    "offline share",
    { storages: [{ id: "nas", type: "nfs", content: "backup", active: false }] },
    [101, "--storage", "nas"],
    /^could not activate storage 'nas': storage 'nas' is not online\n$/,
  ],
  [
    "unmounted directory",
    { storages: [{ id: "usb", type: "dir", path: "/mnt/pve/usb", content: "backup", active: false }] },
    [101, "--storage", "usb"],
    /^could not activate storage 'usb': unable to activate storage 'usb' - directory '\/mnt\/pve\/usb' does not exist or is unreachable\n$/,
  ],
  ["unknown pool", {}, ["--pool", "nope"], /^pool 'nope' does not exist\n$/],
  ["missing program", { knobs: { missingCommands: ["rsync"] } }, [101], /^unable to find command 'rsync'\n$/],
  [
    "missing hook",
    {},
    [101, "--script", "/nowhere"],
    /^Error: The hook script '\/nowhere' does not exist\.\n$/,
  ],
  ["no selection", {}, [], /^400 Parameter verification failed\.\nvmid: property is missing\nvzdump /],
];

for (const [name, options, args, text] of REFUSALS) {
  Deno.test(`vzdump refuses a ${name} before it starts`, () =>
    vzdump({ guests: [VM], ...options }, args, ({ code, stdout, stderr }) => {
      assert.equal(code, 255);
      assert.equal(stdout, "");
      assert.match(stderr, text);
    }));
}

Deno.test("vzdump on storage local without content backup cannot even stream", () =>
  vzdump(
    { guests: [VM], storages: [{ id: "local", type: "dir", content: "iso" }] },
    [101, "--stdout", 1, "--no-dumpdir"],
    ({ code, stderr }) => {
      assert.equal(code, 255);
      assert.match(
        stderr,
        /^could not get storage information for 'local': can't use storage 'local' for backups/,
      );
    },
  ));

Deno.test("vzdump on a full target removes the partial file and says ENOSPC", () =>
  vzdump({ guests: [VM] }, [101], ({ code, stdout, stderr }, node) => {
    assert.equal(code, 255);
    assert.equal(stderr, "job errors\n");
    assert.match(
      stdout,
      /ERROR: vma_queue_write: write error - No space left on device\nINFO: aborting backup job\n/,
    );
    assert.match(names(node.dumpDir).join(), /^vzdump-qemu-101-[^,]*\.log$/);
  }, (node) => node.fault(101, { noSpaceAfterBytes: 100_000 })));

Deno.test("vzdump of a container on a full target fails with tar's status", () =>
  vzdump({ guests: [CT] }, [105], ({ code, stdout }) => {
    assert.equal(code, 255);
    assert.match(
      stdout,
      /ERROR: Backup of VM 105 failed - command 'set -o pipefail && .*tar cpf - .*' failed: /,
    );
  }, (node) => node.fault(105, { noSpaceAfterBytes: 20_000 })));

Deno.test("vzdump selects by --all, --exclude and --pool", async () => {
  await using node = await SimNode.create({
    otherNodes: ["pve2"],
    pools: ["lab/sub"],
    guests: [{ ...VM, pool: "lab" }, { vmid: 102, disks: [] }, { vmid: 103, disks: [], pool: "lab/sub" }, {
      vmid: 107,
      node: "pve2",
    }],
  });
  const done = async (...args: (string | number)[]) => {
    const { code, stdout } = await run(node, "vzdump", [...args, "--dumpdir", node.dumpDir]);
    assert.equal(code, 0);
    return [...stdout.matchAll(/Finished Backup of VM (\d+)/g)].map((match) => match[1]);
  };
  assert.deepEqual(await done("--all", 1), ["101", "102", "103"]);
  assert.deepEqual(await done("--exclude", "102,103"), ["101"]);
  assert.deepEqual(await done("--pool", "lab"), ["101"]);
});

Deno.test("vzdump leaves out what exclude-path of vzdump.conf names", async () => {
  await using node = await SimNode.create({ guests: [CT] });
  node.setVzdumpConf("exclude-path: /root /var/log\n");
  assert.equal((await run(node, "vzdump", [105, "--dumpdir", node.dumpDir])).code, 0);
  const { stdout } = await new Deno.Command("tar", { args: ["-tf", only(node.dumpDir, ".tar")] }).output();
  const members = new TextDecoder().decode(stdout);
  assert.match(members, /^\.\/etc\/hostname$/m);
  assert.doesNotMatch(members, /^\.\/(root\/|var\/log\/|tmp\/scratch)/m);
});

Deno.test("vzdump --remove 0 refuses when the retention is full", async () => {
  await using node = await SimNode.create({ guests: [VM] });
  for (const day of ["01", "02", "03"]) {
    await Deno.writeTextFile(`${node.dumpDir}/vzdump-qemu-101-2024_01_${day}-00_00_00.vma`, "");
  }
  const args = [101, "--remove", 0, "--prune-backups", "keep-last=3", "--dumpdir", node.dumpDir];
  const { code, stdout } = await run(node, "vzdump", args);
  assert.equal(code, 255);
  assert.match(
    stdout,
    /There is a max backup limit of 3 enforced by the target storage or the vzdump parameters\./,
  );
});

Deno.test("vzdump to a storage prunes by the storage's own retention, standard names only", async () => {
  await using node = await SimNode.create({
    guests: [VM],
    storages: [{ id: "nas", type: "dir", content: "backup", prune: "keep-last=1" }],
  });
  const directory = `${node.dir}/storage/nas/dump`;
  const old = "vzdump-qemu-101-2024_01_02-03_04_05";
  for (
    const name of [
      `${old}.vma`,
      `${old}.log`,
      `${old}.vma.notes`,
      "vzdump-qemu-101-mine.vma",
      "vzdump-qemu-1010-2024_01_02-03_04_05.vma",
    ]
  ) {
    await Deno.writeTextFile(`${directory}/${name}`, "");
  }
  const { code, stdout } = await run(node, "vzdump", [
    101,
    "--storage",
    "nas",
    "--notes-template",
    "{{guestname}} on {{node}}",
  ]);
  assert.equal(code, 0);
  assert.match(stdout, /INFO: pruned 1 backup\(s\) not covered by keep-retention policy/);
  const left = names(directory);
  assert.ok(!left.some((name) => name.startsWith(old)));
  assert.ok(left.includes("vzdump-qemu-101-mine.vma"));
  assert.ok(left.includes("vzdump-qemu-1010-2024_01_02-03_04_05.vma"));
  assert.equal(await Deno.readTextFile(only(directory, ".notes")), "web on pve1");
});

Deno.test("vzdump refuses stop mode for a guest under high availability", () =>
  vzdump({ guests: [{ ...VM, ha: "started" }] }, [101, "--mode", "stop"], ({ code, stdout }, node) => {
    assert.equal(code, 255);
    assert.match(
      stdout,
      /Cannot execute a backup with stop mode on a HA managed and enabled Service\. Use snapshot/,
    );
    assert.equal(node.guest(101)!.status, "running");
  }));

Deno.test("vzdump of a container stops at a busy snapshot mount", () =>
  vzdump({ guests: [CT], knobs: { staleSnapshotMount: true } }, [105], ({ code, stdout }) => {
    assert.equal(code, 255);
    assert.match(stdout, /ERROR: Backup of VM 105 failed - mount point '\/mnt\/vzsnap0' not empty\n/);
  }));

Deno.test("vzdump of an unprivileged container needs a dumpdir that mapped users can pass", async () => {
  await using node = await SimNode.create({ guests: [CT, { ...CT, vmid: 106, unprivileged: false }] });
  const closed = `${node.dir}/closed`;
  await Deno.mkdir(`${closed}/run`, { recursive: true });
  await Deno.chmod(closed, 0o700);
  const refused = await run(node, "vzdump", [105, "--dumpdir", `${closed}/run`]);
  assert.equal(refused.code, 255);
  assert.match(refused.stdout, /Cannot open: Permission denied/);
  assert.match(refused.stdout, /lxc-usernsexec .* failed: exit code 2\n/);
  assert.equal((await run(node, "vzdump", [106, "--dumpdir", `${closed}/run`])).code, 0);
  await Deno.chmod(closed, 0o711);
  assert.equal((await run(node, "vzdump", [105, "--dumpdir", `${closed}/run`])).code, 0);
});

Deno.test("vzdump falls back to suspend mode when a volume has no snapshots", () =>
  vzdump(
    {
      guests: [{ ...CT, disks: [{ key: "rootfs", size: "1G", storage: "plain" }] }],
      storages: [{ id: "plain", type: "dir" }],
    },
    [105],
    ({ code, stdout }) => {
      assert.equal(code, 0);
      assert.match(
        stdout,
        /INFO: mode failure - some volumes do not support snapshots\nINFO: trying 'suspend' mode instead\n[^]*INFO: backup mode: suspend/,
      );
    },
  ));

Deno.test("vzdump in stop mode shuts the guest down and brings it back", () =>
  vzdump({ guests: [VM, CT] }, [101, 105, "--mode", "stop"], ({ code, stdout }, node) => {
    assert.equal(code, 0);
    assert.match(
      stdout,
      /backup mode: stop\n[^]*VM Name: web[^]*stopping virtual guest\n[^]*resuming VM again after \d+ seconds/,
    );
    assert.match(stdout, /restarting vm/);
    assert.match(stdout, /archive file size: \d+KB\n[^]*restarting vm/);
    assert.equal(node.guest(101)!.status, "running");
    assert.equal(node.guest(105)!.status, "running");
  }));

Deno.test("vzdump of a stopped VM starts it paused and stops it again", () =>
  vzdump({ guests: [{ ...VM, status: "stopped" }] }, [101], ({ code, stdout }, node) => {
    assert.equal(code, 0);
    assert.match(
      stdout,
      /INFO: status = stopped\nINFO: backup mode: stop\n[^]*starting kvm to execute backup task\n[^]*stopping kvm after/,
    );
    assert.equal(node.guest(101)!.status, "stopped");
  }));

Deno.test("vzdump of a VM without disks and of a template", () =>
  vzdump(
    {
      guests: [{ vmid: 101, disks: [], config: { ide2: "none,media=cdrom" } }, { vmid: 102, template: true }],
    },
    [101, 102],
    ({ code, stdout }, node) => {
      assert.equal(code, 0);
      assert.match(stdout, /INFO: backup contains no disks\nINFO: starting diskless backup\n/);
      const sizes = names(node.dumpDir).filter((name) => name.endsWith(".vma")).map((name) =>
        Deno.statSync(`${node.dumpDir}/${name}`).size
      );
      assert.equal(sizes[0], 13312);
    },
  ));

Deno.test("vzdump leaves out what is excluded and says so", () =>
  vzdump(
    {
      guests: [{
        vmid: 101,
        disks: [{ key: "scsi0", size: "1M" }, { key: "scsi1", size: "1M", options: "backup=0" }, {
          key: "efidisk0",
          size: 540672,
        }],
        config: { unused0: "local-lvm:vm-101-disk-9", ide2: "local:iso/x.iso,media=cdrom" },
        sections: "[PENDING]\ncores: 4\n\n[before]\nsnaptime: 1\n",
      }],
    },
    [101],
    ({ code, stdout }, node) => {
      assert.equal(code, 0);
      assert.match(stdout, /include disk 'scsi0' 'local-lvm:vm-101-disk-0' 1M/);
      assert.match(stdout, /exclude disk 'scsi1' 'local-lvm:vm-101-disk-1' \(backup=no\)/);
      assert.match(stdout, /skip unused drive 'local-lvm:vm-101-disk-9' \(not included into backup\)/);
      assert.match(stdout, /snapshots found \(not included into backup\)/);
      assert.match(stdout, /pending configuration changes found \(not included into backup\)/);
      const text = new TextDecoder("latin1").decode(
        Deno.readFileSync(only(node.dumpDir, ".vma")).subarray(12288, 13312),
      );
      assert.match(text, /#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n/);
      assert.doesNotMatch(text, /unused0|\[before\]|efidisk0:drive/);
    },
  ));

Deno.test("vzdump runs the hook script and lets it fail the guest", async () => {
  await using node = await SimNode.create({ guests: [VM] });
  const script = `${node.dir}/hook.sh`;
  await Deno.writeTextFile(script, '#!/bin/sh\necho "hook $* target=$TARGET"\n[ "$1" != "$FAIL_AT" ]\n', {
    mode: 0o755,
  });
  const good = await run(node, "vzdump", [101, "--stdout", 1, "--script", script, "--dumpdir", node.dumpDir]);
  assert.equal(good.code, 0);
  assert.match(good.stderr, /INFO: hook backup-start snapshot 101 target=-/);
  const phases = node.hookCalls().map((call) => call.phase);
  assert.deepEqual(phases, ["job-init", "job-start", "backup-start", "backup-end", "log-end", "job-end"]);
  await Deno.writeTextFile(script, '#!/bin/sh\n[ "$1" != backup-start ]\n');
  const bad = await run(node, "vzdump", [101, "--script", script, "--dumpdir", node.dumpDir]);
  assert.equal(bad.code, 255);
  assert.match(
    bad.stdout,
    /Backup of VM 101 failed - command '.*hook\.sh backup-start snapshot 101' failed: exit code 1/,
  );
});

const NOTIFICATIONS: [string, string[], number][] = [
  ["7.4", [], 0],
  ["7.4", ["--mailto", "root"], 1],
  ["8.0", ["--mailto", "", "--notification-policy", "never"], 0],
  ["8.4", [], 1],
  ["8.4", ["--mailto", ""], 1],
  ["8.4", ["--mailto", "", "--notification-mode", "legacy-sendmail"], 0],
  ["9.1", ["--mailto", "admin@example.org"], 1],
];
for (const [release, args, count] of NOTIFICATIONS) {
  Deno.test(`vzdump ${args.join(" ")} on ${release} sends ${count} notifications`, () =>
    vzdump({ release, guests: [VM] }, [
      101,
      ...args.map((word) => word === "root" ? "root@example.org" : word),
    ], ({ code }, node) => {
      assert.equal(code, 0);
      assert.equal(node.notifications().length, count);
    }));
}
