import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { BUFFER_BYTES, TRANSFER_BYTES } from "../../../src/core/bytes.ts";
import type { ArchiveRecord } from "../../../src/core/snapshot.ts";
import { SnapshotWriter } from "../../../src/store/snapshot_writer.ts";
import { SOURCE_KINDS, testBytes, TestSource } from "../core/test_source.ts";
import { aManifest, aRecord, aReport, RUN_ID, STARTED, VM_ARCHIVE } from "./documents.ts";
import { failingSync } from "./failing_sync.ts";
import { modeOf, namesIn, withTempDir } from "./temp_dir.ts";

const NAME = "2026-01-31T12-00-00Z-01234567";

/** Runs `use` with a begun snapshot in a directory that is removed afterwards. */
async function withWriter(use: (writer: SnapshotWriter, store: string) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    try {
      await writer.begin(aManifest());
      await use(writer, dir);
    } finally {
      await writer.close();
    }
  });
}

const recordOf = (stored: { bytes: number; sha256?: string }): ArchiveRecord => aRecord({ ...stored });
const sha256Of = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

Deno.test("SnapshotWriter writes manifest, archive, record and report for its owner only", async () => {
  await withWriter(async (writer, store) => {
    assert.equal(writer.path, `${store}/${NAME}`);
    assert.equal(await modeOf(writer.path), "700");
    await writer.store(VM_ARCHIVE, new TestSource(testBytes(100)), recordOf);
    await writer.finish(aReport());
    const names = [VM_ARCHIVE, `${VM_ARCHIVE}.json`, "manifest.json", "report.json", "run.lock"];
    assert.deepEqual(await namesIn(writer.path), names.sort());
    for (const name of names) assert.equal(await modeOf(`${writer.path}/${name}`), "600", name);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${writer.path}/report.json`)), aReport());
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${writer.path}/manifest.json`)), aManifest());
    await writer.close();
    assert.ok(!(await namesIn(writer.path)).includes("run.lock"));
  });
});

Deno.test("SnapshotWriter makes the store's own directory, one level of it, mode 0700", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(`${dir}/store`, STARTED, RUN_ID);
    assert.equal(await modeOf(`${dir}/store`), "700");
    await writer.close();
    await assert.rejects(SnapshotWriter.create(`${dir}/a/b`, STARTED, RUN_ID), {
      kind: "usage",
      message: /^Cannot write to ".*\/a\/b": /,
    });
  }));

Deno.test("begin() and finish() leave no document that did not reach the disk with all its directories", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(`${dir}/store`, STARTED, RUN_ID);
    for (const good of [0, 1, 2, 3]) {
      using _ = failingSync("EIO", good);
      await assert.rejects(writer.begin(aManifest()), { message: /manifest\.json": Input\/output error/ });
      assert.deepEqual(await namesIn(writer.path), ["run.lock"]);
    }
    for (const good of [0, 1]) {
      using _ = failingSync("EIO", good);
      await assert.rejects(writer.finish(aReport()), { message: /report\.json": Input\/output error/ });
      assert.deepEqual(await namesIn(writer.path), ["run.lock"]);
    }
    await writer.close();
  }));

for (const [good, what] of ["its record", "its name"].entries()) {
  Deno.test(`store() leaves nothing of an archive when ${what} does not reach the disk`, () =>
    withWriter(async (writer) => {
      using _ = failingSync("EIO", good);
      await assert.rejects(writer.store(VM_ARCHIVE, new TestSource(testBytes(100)), recordOf), {
        kind: "failed",
        message: /^Cannot write ".*\.vma": Input\/output error/,
      });
      assert.deepEqual(await namesIn(writer.path), ["manifest.json", "run.lock"]);
    }));
}

Deno.test("laterSnapshot() tells the newest snapshot that a wrong clock puts behind the one that is written", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    for (
      const other of ["2026-01-31T12-00-59Z-ffffffff", "2999-no-snapshot", "2026-01-01T00-00-00Z-ffffffff"]
    ) {
      await Deno.mkdir(`${dir}/${other}`);
    }
    assert.equal(await writer.laterSnapshot(), undefined);
    for (const later of ["2026-01-31T13-00-00Z-00000000", "2027-01-31T13-00-00Z-00000000"]) {
      await Deno.mkdir(`${dir}/${later}`);
      assert.equal(await writer.laterSnapshot(), later);
    }
    await writer.close();
  }));

Deno.test("SnapshotWriter refuses a store that is a file, and a snapshot that is there already", () =>
  withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    await assert.rejects(SnapshotWriter.create(`${dir}/file`, STARTED, RUN_ID), { kind: "usage" });
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    await assert.rejects(SnapshotWriter.create(dir, STARTED, RUN_ID), { kind: "usage" });
    await writer.close();
  }));

Deno.test("SnapshotWriter leaves nothing of a run that did not begin", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    await writer.close();
    assert.deepEqual(await namesIn(dir), []);
  }));

for (const [kind, options] of SOURCE_KINDS) {
  Deno.test(`SnapshotWriter.store() keeps every byte of ${kind}, and their sha256`, () =>
    withWriter(async (writer) => {
      const sizes = [0, 1, TRANSFER_BYTES, BUFFER_BYTES, 4 * BUFFER_BYTES].flatMap((
        size,
      ) => [size - 1, size, size + 1]);
      for (const size of new Set(sizes.map((size) => Math.max(0, size)))) {
        const bytes = testBytes(size);
        const name = `vzdump-qemu-${100_000_000 + size}-2026_01_31-12_00_00.vma`;
        let told: unknown;
        const kept = await writer.store(name, new TestSource(bytes, options), (stored) => {
          told = stored;
          return recordOf(stored);
        });
        assert.deepEqual(told, { bytes: size, sha256: sha256Of(bytes) });
        assert.ok(Buffer.compare(await Deno.readFile(`${writer.path}/${name}`), bytes) === 0, `${size}`);
        assert.deepEqual(JSON.parse(await Deno.readTextFile(`${writer.path}/${name}.json`)), kept);
      }
    }));
}

Deno.test("SnapshotWriter.store() takes single bytes", () =>
  withWriter(async (writer) => {
    const bytes = testBytes(TRANSFER_BYTES + 1);
    const kept = await writer.store(
      VM_ARCHIVE,
      new TestSource(bytes, { chunk: 1, transfers: true }),
      recordOf,
    );
    assert.deepEqual([kept.bytes, kept.sha256], [bytes.byteLength, sha256Of(bytes)]);
  }));

Deno.test("SnapshotWriter.store() keeps nothing of a source that fails, wherever, and cancels it", () =>
  withWriter(async (writer) => {
    const error = new Error("vzdump failed");
    for (const failAt of [0, 1, TRANSFER_BYTES, BUFFER_BYTES, 3 * BUFFER_BYTES + 7]) {
      const source = new TestSource(testBytes(3 * BUFFER_BYTES + 7), { failAt, error, transfers: true });
      let asked = false;
      const store = writer.store(VM_ARCHIVE, source, (stored) => {
        asked = true;
        return recordOf(stored);
      });
      await assert.rejects(store, (thrown) => thrown === error, `at ${failAt}`);
      assert.deepEqual(source.cancels, [error]);
      assert.equal(asked, false, "a record was asked for what is not whole");
      assert.deepEqual(await namesIn(writer.path), ["manifest.json", "run.lock"]);
    }
  }));

Deno.test("SnapshotWriter.store() keeps nothing when its record is refused", () =>
  withWriter(async (writer) => {
    const error = new TypeError("not read to its end");
    const source = new TestSource(testBytes(100));
    await assert.rejects(
      writer.store(VM_ARCHIVE, source, () => {
        throw error;
      }),
      error,
    );
    assert.deepEqual(source.cancels, [error]);
    assert.deepEqual(await namesIn(writer.path), ["manifest.json", "run.lock"]);
  }));

Deno.test("SnapshotWriter.store() tells the failure of the source, not of its cancelling", () =>
  withWriter(async (writer) => {
    const error = new Error("vzdump failed");
    const source = new TestSource(testBytes(10), { failAt: 5, error });
    source.cancel = () => Promise.reject(new Error("cannot cancel"));
    await assert.rejects(writer.store(VM_ARCHIVE, source, recordOf), error);
  }));

Deno.test("SnapshotWriter.store() can try a name again after a failure", () =>
  withWriter(async (writer) => {
    await assert.rejects(writer.store(VM_ARCHIVE, new TestSource(testBytes(9), { failAt: 3 }), recordOf));
    const kept = await writer.store(VM_ARCHIVE, new TestSource(testBytes(9)), recordOf);
    assert.equal(kept.bytes, 9);
  }));

Deno.test("SnapshotWriter.store() gives an archive its name only when it is whole", () =>
  withWriter(async (writer) => {
    const seen = new Set<string>();
    const source = new TestSource(testBytes(2 * BUFFER_BYTES), {
      chunk: 256 * 1024,
      pause: async () => (await namesIn(writer.path)).forEach((name) => seen.add(name)),
    });
    await writer.store(VM_ARCHIVE, source, recordOf);
    assert.deepEqual([...seen].sort(), ["manifest.json", "run.lock", `${VM_ARCHIVE}.part`].sort());
    assert.ok((await namesIn(writer.path)).includes(VM_ARCHIVE));
  }));

Deno.test("SnapshotWriter.store() takes several archives at a time", () =>
  withWriter(async (writer) => {
    const names = [101, 102, 103].map((vmid) => `vzdump-qemu-${vmid}-2026_01_31-12_00_00.vma`);
    const kept = await Promise.all(names.map((name, index) => {
      const source = new TestSource(testBytes(BUFFER_BYTES + index, index), {
        chunk: 50_000,
        transfers: true,
      });
      return writer.store(name, source, recordOf);
    }));
    for (const [index, { sha256, bytes }] of kept.entries()) {
      const expected = testBytes(BUFFER_BYTES + index, index);
      assert.deepEqual([bytes, sha256], [expected.byteLength, sha256Of(expected)]);
    }
  }));
