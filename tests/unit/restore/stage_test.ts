import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { stageArchive, type StageTask } from "../../../src/restore/stage.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import type { NodeFiles } from "../../../src/runner/runner.ts";
import { buildVma, clusters } from "../archive/vma_bytes.ts";
import { SOURCE_KINDS, TestSource } from "../core/test_source.ts";
import { standInNode } from "../proxmox/node_stand_in.ts";
import { modeOf, withTempDir } from "../store/temp_dir.ts";

const VMA = buildVma({
  devices: [{ name: "drive-scsi0", size: 59 * 65536 }],
  extents: [{ entries: clusters(1, 0, 59, 0xffff) }],
});
const SHA256 = createHash("sha256").update(VMA).digest("hex");
const GIB = 1024 ** 3;

function archive(given: Partial<StoredArchive> = {}): StoredArchive {
  return {
    name: "vzdump-qemu-101-x.vma",
    kind: "qemu",
    vmid: 101,
    bytes: VMA.byteLength,
    sha256: SHA256,
    ...given,
  };
}

/** Stages on a node whose files are this machine's, or what a test makes of them. */
function task(
  dir: string,
  source: TestSource,
  given: Partial<StageTask> & { files?: Partial<NodeFiles> } = {},
) {
  const { files, ...rest } = given;
  const local = new LocalFiles();
  const node = standInNode({
    files: {
      create: (path) => local.create(path),
      stat: (path) => local.stat(path),
      freeSpace: () => Promise.resolve({ free: 90 * GIB, total: 100 * GIB }),
      ...files,
    },
  });
  return {
    archive: archive(),
    compression: "none" as const,
    source,
    node,
    path: `${dir}/vzdump-qemu-101-2026_01_31-12_00_00.vma`,
    decoder: () => Promise.reject(new Error("the test has no decoder")),
    onBytes: () => {},
    stop: new AbortController().signal,
    ...rest,
  };
}

for (const [kind, options] of SOURCE_KINDS) {
  Deno.test(`stageArchive() brings every byte of ${kind} onto the node`, () =>
    withTempDir(async (dir) => {
      const told: number[] = [];
      const staged = task(dir, new TestSource(VMA, options), { onBytes: (bytes) => void told.push(bytes) });
      const contents = await stageArchive(staged);
      assert.deepEqual([contents.bytes, contents.depth], [VMA.byteLength, "contents"]);
      assert.deepEqual(await Deno.readFile(staged.path), VMA);
      assert.equal(await modeOf(staged.path), "600");
      assert.equal(told.at(-1), VMA.byteLength);
    }));
}

Deno.test("stageArchive() takes an archive whose sha256 was never recorded", () =>
  withTempDir(async (dir) => {
    const { sha256: _, ...unrecorded } = archive();
    await stageArchive(task(dir, new TestSource(VMA), { archive: unrecorded }));
  }));

Deno.test("stageArchive() rejects an archive that is cut, changed, of another kind or compression", () =>
  withTempDir(async (dir) => {
    const flipped = VMA.slice();
    flipped[flipped.byteLength - 9]! ^= 1;
    const cases: [Uint8Array, Partial<StageTask>, RegExp][] = [
      [VMA.subarray(0, -1), {}, /./],
      [new Uint8Array(0), {}, /empty/],
      [flipped, {}, /^Archive has sha256 \w+, but \w+ was recorded at the backup$/],
      [VMA, { archive: archive({ kind: "lxc" }) }, /vma where tar is expected/],
      [VMA, { compression: "zstd" }, /compression "none" where "zstd" is expected/],
    ];
    for (const [index, [bytes, given, said]] of cases.entries()) {
      const source = new TestSource(bytes, { transfers: true });
      const staged = task(dir, source, { ...given, path: `${dir}/${index}` });
      await assert.rejects(stageArchive(staged), { name: "ArchiveDamage", message: said });
    }
  }));

Deno.test("stageArchive() rejects with the source's failure, and cancels it", () =>
  withTempDir(async (dir) => {
    const error = new Error("Input/output error");
    for (const failAt of [0, 1, VMA.byteLength]) {
      const source = new TestSource(VMA, { failAt, error });
      await assert.rejects(stageArchive(task(dir, source, { path: `${dir}/${failAt}` })), error);
      assert.equal(source.cancels.length, 1);
    }
  }));

Deno.test("stageArchive() ends when it is stopped, with the reason of the stop", () =>
  withTempDir(async (dir) => {
    const stop = new AbortController();
    const reason = new Error("Interrupted by SIGINT");
    const source = new TestSource(VMA, { chunk: 100_000 });
    const staged = task(dir, source, { stop: stop.signal, onBytes: () => stop.abort(reason) });
    await assert.rejects(stageArchive(staged), (thrown) => thrown === reason);
    assert.ok(source.delivered < VMA.byteLength);
    assert.equal(source.cancels.length, 1);
  }));

Deno.test("stageArchive() leaves the reserve of the node's filesystem free, and the source free too", () =>
  withTempDir(async (dir) => {
    const source = new TestSource(VMA);
    const freeSpace = () => Promise.resolve({ free: 2 * GIB + VMA.byteLength - 1, total: 10 * GIB });
    const staged = task(dir, source, { files: { freeSpace } });
    await assert.rejects(stageArchive(staged), {
      name: "UserError",
      kind: "failed",
      message: new RegExp(`^Cannot stage the archive in "${dir}": it needs 4 MiB more$`),
    });
    assert.equal(source.cancels.length, 1, "the source was left open");
    assert.equal(await Deno.stat(staged.path).catch(() => undefined), undefined);
  }));

Deno.test("stageArchive() fits exactly into what may be used", () =>
  withTempDir(async (dir) => {
    const freeSpace = () => Promise.resolve({ free: 2 * GIB + VMA.byteLength, total: 10 * GIB });
    await stageArchive(task(dir, new TestSource(VMA), { files: { freeSpace } }));
  }));

Deno.test("stageArchive() never writes over a file, and frees the source then", () =>
  withTempDir(async (dir) => {
    const source = new TestSource(VMA);
    const staged = task(dir, source);
    await Deno.writeTextFile(staged.path, "mine");
    await assert.rejects(stageArchive(staged), Deno.errors.AlreadyExists);
    assert.equal(await Deno.readTextFile(staged.path), "mine");
    assert.equal(source.cancels.length, 1, "the source was left open");
  }));

Deno.test("stageArchive() rejects when the node's disk takes no more", () =>
  withTempDir(async (dir) => {
    const full = Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
    let aborted = 0;
    const create = () =>
      Promise.resolve({
        write: () => Promise.reject(full),
        close: () => Promise.resolve(),
        abort: () => {
          aborted++;
          return Promise.resolve();
        },
      });
    const source = new TestSource(VMA);
    const failure = {
      name: "NotStaged",
      cause: full,
      message: "No space left on device",
    };
    await assert.rejects(stageArchive(task(dir, source, { files: { create } })), failure);
    assert.deepEqual([aborted, source.cancels.length], [1, 1]);
  }));

Deno.test("stageArchive() does not believe a file that has not the size it wrote", () =>
  withTempDir(async (dir) => {
    for (const stat of [null, { kind: "file" as const, size: 7, mode: 0o600 }]) {
      const files = { stat: () => Promise.resolve(stat) };
      const staged = task(dir, new TestSource(VMA), { files, path: `${dir}/${stat?.size ?? "none"}` });
      await assert.rejects(stageArchive(staged), /bytes were written to ".*", but it has (none|7)$/);
    }
  }));
