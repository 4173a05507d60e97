import assert from "node:assert/strict";
import { syncDir, writeAll, writeJson } from "../../../src/store/durable.ts";
import { failingSync } from "./failing_sync.ts";
import { modeOf, namesIn, withTempDir } from "./temp_dir.ts";

Deno.test("writeJson() leaves one file, readable by its owner only", () =>
  withTempDir(async (dir) => {
    await writeJson(`${dir}/a.json`, { text: "ü\n", list: [1] });
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${dir}/a.json`)), { text: "ü\n", list: [1] });
    assert.deepEqual(await namesIn(dir), ["a.json"]);
    assert.equal(await modeOf(`${dir}/a.json`), "600");
  }));

Deno.test("writeJson() replaces an older document and a longer part of a dead run", () =>
  withTempDir(async (dir) => {
    await writeJson(`${dir}/a.json`, { old: true });
    await Deno.writeTextFile(`${dir}/a.json.part`, "x".repeat(10_000));
    await writeJson(`${dir}/a.json`, { new: true });
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${dir}/a.json`)), { new: true });
    assert.deepEqual(await namesIn(dir), ["a.json"]);
  }));

Deno.test("writeJson() rejects where it cannot write", () =>
  withTempDir(async (dir) => {
    await assert.rejects(writeJson(`${dir}/none/a.json`, {}), Deno.errors.NotFound);
  }));

Deno.test("writeJson() leaves the older document, and no part, where the new one does not reach the disk", () =>
  withTempDir(async (dir) => {
    await writeJson(`${dir}/a.json`, { old: true });
    using _ = failingSync("EIO");
    await assert.rejects(writeJson(`${dir}/a.json`, { new: true }), { code: "EIO" });
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${dir}/a.json`)), { old: true });
    assert.deepEqual(await namesIn(dir), ["a.json"]);
  }));

Deno.test("syncDir() tells a failing disk from a filesystem that cannot sync directories", () =>
  withTempDir(async (dir) => {
    for (const code of ["EIO", "ENOSPC", "EROFS"]) {
      using _ = failingSync(code);
      await assert.rejects(syncDir(dir), { code });
    }
    using _ = failingSync("EINVAL");
    await syncDir(dir);
  }));

Deno.test("syncDir() rejects for a directory that is not there", () =>
  withTempDir(async (dir) => {
    await syncDir(dir);
    await assert.rejects(syncDir(`${dir}/none`), Deno.errors.NotFound);
  }));

Deno.test("writeAll() goes on after a write that took only some", async () => {
  const taken: number[] = [];
  const file = {
    write(bytes: Uint8Array): Promise<number> {
      const count = Math.min(3, bytes.byteLength);
      taken.push(...bytes.subarray(0, count));
      return Promise.resolve(count);
    },
  };
  await writeAll(file as Deno.FsFile, new Uint8Array([1, 2, 3, 4, 5, 6, 7]));
  assert.deepEqual(taken, [1, 2, 3, 4, 5, 6, 7]);
});
