import assert from "node:assert/strict";
import { type Bed, makeBed } from "./harness.ts";
import { needs } from "../needs.ts";

/**
 * A filesystem of our own for the length of one command, in a mount namespace that ends with it. The reserve of
 * 2 GiB leaves `usable` MiB of it.
 */
async function runOnSmallDisk(bed: Bed, mountAt: string, usable: number, args: string[]) {
  const script = `mount -t tmpfs -o size=${
    2048 + usable
  }m tmpfs "$0" && chmod 755 "$0" && "$@"; s=$?; ls -R "$0"; exit $s`;
  const { binary, env } = bed;
  const child = await new Deno.Command("unshare", {
    args: ["-m", "sh", "-c", script, mountAt, binary, ...args],
    env,
    stdin: "null",
  }).output();
  const [stdout = "", stderr = ""] = [child.stdout, child.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  return { status: child.code, stdout, stderr };
}

Deno.test({
  name:
    "a store that fills up: that guest fails before the reserve is touched, its part file goes, others are kept",
  ...needs("unshare"),
  async fn() {
    await using bed = await makeBed({
      guests: [
        { vmid: 101 },
        { vmid: 102, disks: [{ key: "scsi0", size: "400M", synthetic: true }] },
        { vmid: 103 },
      ],
    });
    Deno.mkdirSync(bed.store);
    const args = [
      "backup",
      "--all",
      "--to",
      bed.store,
      "--dump-dir",
      bed.node.dumpDir,
      "--backup-compression",
      "0",
    ];
    const { status, stdout, stderr } = await runOnSmallDisk(bed, bed.store, 200, args);
    assert.equal(status, 3, stderr);
    assert.match(
      stderr,
      /Cannot go on writing to ".*": only \d+ MiB are free; max\(5 %, 2 GiB\) of a filesystem stay free/,
    );
    assert.match(stdout, /vzdump-qemu-101-.*\.vma\n/);
    assert.match(stdout, /vzdump-qemu-103-.*\.vma\n/);
    assert.doesNotMatch(stdout, /-102-|\.part/);
    assert.match(stdout, /report\.json/);
    assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
  },
});

Deno.test({
  name: "a dump directory without room for staging: the restore fails before the guest is stopped",
  ...needs("unshare"),
  async fn() {
    await using bed = await makeBed({
      guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "100M", synthetic: true }] }],
    });
    assert.equal(
      (await bed.run(["backup", "--all", "--to", bed.store, "--backup-compression", "0"])).status,
      0,
    );
    const stage = `${bed.node.dir}/stage`;
    Deno.mkdirSync(stage);
    const args = ["restore", "--all", "--force", "--from", bed.store, "--dump-dir", stage];
    const { status, stdout, stderr } = await runOnSmallDisk(bed, stage, 50, args);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /Cannot stage the archive in ".*": it needs 10\d MiB more; .*--dump-dir/);
    assert.doesNotMatch(stdout, /vzdump-/);
    assert.equal(bed.node.guest(101)?.status, "running");
  },
});
