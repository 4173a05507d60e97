import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { checkArchive } from "../../../src/archive/check.ts";
import { readWhole } from "../../../src/archive/read_whole.ts";
import { bytesSource } from "../../../src/core/bytes.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { stageArchive, type StageTask, storagesToWrite } from "../../../src/restore/stage.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import type { NodeFiles } from "../../../src/runner/runner.ts";
import { decoderTools } from "../../../src/setup/decoders.ts";
import { run } from "../archive/helpers.ts";
import { buildVma, clusters } from "../archive/vma_bytes.ts";
import { TestSource } from "../core/test_source.ts";
import { standInNode } from "../proxmox/node_stand_in.ts";
import { withTempDir } from "../store/temp_dir.ts";

const GIB = 1024 ** 3;
const CONFIG = "name: web\n#qmdump#map:scsi0:drive-scsi0:fast:raw:\n";
const vmaOf = (extents: number) =>
  buildVma({
    configs: [{ name: "qemu-server.conf", data: CONFIG }],
    devices: [{ name: "drive-scsi0", size: 59 * 65536 * extents }],
    extents: Array.from({ length: extents }, (_, index) => ({
      entries: clusters(1, 59 * index, 59 * (index + 1), 0xffff),
    })),
  });
const VMA = vmaOf(1);
const GZIP = Uint8Array.from(gzipSync(VMA));
const ZSTD = await run(["zstd", "-qc"], VMA);
const STORAGES = { disks: { scsi0: "a-storage-with-a-long-name" } };

/** Stages `bytes` with storages to write, on a node whose files are this machine's, or what a test makes of them. */
function task(
  dir: string,
  bytes: Uint8Array<ArrayBuffer>,
  given: Partial<StageTask> & { files?: Partial<NodeFiles> } = {},
): StageTask {
  const { files, ...rest } = given;
  const local = new LocalFiles();
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const archive: StoredArchive = { name: "x.vma", kind: "qemu", vmid: 101, bytes: bytes.byteLength, sha256 };
  return {
    archive,
    compression: bytes === VMA ? "none" : bytes === ZSTD ? "zstd" : "gzip",
    source: new TestSource(bytes, { chunk: 10_000 }),
    node: standInNode({
      files: {
        create: (path) => local.create(path),
        stat: (path) => local.stat(path),
        freeSpace: () => Promise.resolve({ free: 90 * GIB, total: 100 * GIB }),
        ...files,
      },
    }),
    path: `${dir}/vzdump-qemu-101-2026_01_31-12_00_00.vma`,
    storages: STORAGES,
    decoder: decoderTools(new LocalRunner()),
    onBytes: () => {},
    stop: new AbortController().signal,
    ...rest,
  };
}

const KINDS = [["an uncompressed", VMA], ["a gzip", GZIP], ["a zstd", ZSTD]] as const;

for (const [kind, bytes] of KINDS) {
  Deno.test(`stageArchive() writes storages into ${kind} archive, whose own bytes it checks`, () =>
    withTempDir(async (dir) => {
      const staged = task(dir, bytes);
      const contents = await stageArchive(staged);
      assert.equal(contents.bytes, bytes.byteLength);
      assert.equal(contents.disks?.[0]?.storage, "fast");
      const written = await Deno.readFile(staged.path);
      const check = checkArchive({ kind: "qemu", compression: "none" });
      const there = (await readWhole(bytesSource(written), check, { isHashed: false })).contents;
      assert.equal(there.config, CONFIG.replace(":fast:", `:${STORAGES.disks.scsi0}:`));
      assert.deepEqual(there.disks, [{ key: "scsi0", size: 59 * 65536, storage: STORAGES.disks.scsi0 }]);
      assert.deepEqual(written.subarray(-59 * 65536 - 512), VMA.subarray(-59 * 65536 - 512));
    }));

  Deno.test(`stageArchive() rejects ${kind} archive that is cut or changed, storages or not`, () =>
    withTempDir(async (dir) => {
      const { length } = bytes;
      for (const end of [0, 1, 4, 60, 12_287, 12_800, length >> 1, length - 1]) {
        if (end >= length) continue;
        const staged = task(dir, bytes, {
          path: `${dir}/${end}`,
          source: new TestSource(bytes.slice(0, end)),
        });
        await assert.rejects(stageArchive(staged), { name: "ArchiveDamage" }, `cut at ${end}`);
      }
      const sha256 = "0".repeat(64);
      const staged = task(dir, bytes);
      const archive = { ...staged.archive, sha256 };
      await assert.rejects(stageArchive({ ...staged, archive }), /^ArchiveDamage: Archive has sha256 /);
    }));

  Deno.test(`stageArchive() tells why ${kind} archive could not be written`, () =>
    withTempDir(async (dir) => {
      const full = Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
      let writes = 0;
      let aborted = 0;
      const create = () =>
        Promise.resolve({
          write: () => ++writes < 3 ? Promise.resolve() : Promise.reject(full),
          close: () => Promise.resolve(),
          abort: () => Promise.resolve(void aborted++),
        });
      await assert.rejects(stageArchive(task(dir, bytes, { files: { create } })), {
        name: "NotStaged",
        cause: full,
      });
      assert.equal(aborted, 1);
    }));
}

Deno.test("stageArchive() ends when it is stopped while it unpacks, with the reason of the stop", () =>
  withTempDir(async (dir) => {
    const stop = new AbortController();
    const reason = new Error("Interrupted by SIGINT");
    const onBytes = (bytes: number) => bytes > 1000 ? stop.abort(reason) : undefined;
    const staged = task(dir, GZIP, {
      stop: stop.signal,
      onBytes,
      source: new TestSource(GZIP, { chunk: 500 }),
    });
    await assert.rejects(stageArchive(staged), (thrown) => thrown === reason);
  }));

Deno.test("stageArchive() keeps the node's reserve free, however much comes out of the decompressor", () =>
  withTempDir(async (dir) => {
    const large = Uint8Array.from(gzipSync(vmaOf(20), { level: 1 }));
    let looks = 0;
    const freeSpace = () =>
      Promise.resolve({ free: 2 * GIB + (++looks < 2 ? large.length : 1), total: 10 * GIB });
    const staged = task(dir, large, { files: { freeSpace } });
    await assert.rejects(stageArchive(staged), {
      name: "UserError",
      kind: "failed",
      message: `Cannot stage the archive in "${dir}": it needs 64 MiB more`,
    });
    assert.equal(looks, 2);
  }));

Deno.test("storagesToWrite() asks for a rewrite only where qmrestore cannot be told otherwise", () => {
  assert.equal(storagesToWrite("qemu", undefined), undefined);
  assert.equal(storagesToWrite("qemu", { others: "fast", disks: {} }), undefined);
  assert.equal(storagesToWrite("qemu", { others: "fast", disks: { rootfs: "big" } }), undefined);
  assert.equal(storagesToWrite("lxc", { disks: { rootfs: "big" } }), undefined);
  assert.deepEqual(storagesToWrite("qemu", { others: "fast", disks: { scsi0: "big", mp0: "big" } }), {
    others: "fast",
    disks: { scsi0: "big" },
  });
});
