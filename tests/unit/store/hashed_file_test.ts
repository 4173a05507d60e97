import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { HashedFile } from "../../../src/store/hashed_file.ts";
import { testBytes } from "../core/test_source.ts";
import { withTempDir } from "./temp_dir.ts";

const sha256 = (...parts: Uint8Array[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

Deno.test("HashedFile writes and hashes the lengths given, and gives the buffers back", async () => {
  await withTempDir(async (dir) => {
    const file = await HashedFile.create(`${dir}/a`);
    try {
      const bytes = testBytes(100_000);
      const first = await file.append(bytes.buffer.slice(0), 100_000);
      assert.equal(first.byteLength, 100_000);
      const second = await file.append(first, 1);
      await file.append(second, 0);
      assert.equal(await file.finish(), sha256(bytes, bytes.subarray(0, 1)));
      const written = await Deno.readFile(`${dir}/a`);
      assert.equal(sha256(written), sha256(bytes, bytes.subarray(0, 1)));
      assert.equal((await Deno.stat(`${dir}/a`)).mode! & 0o777, 0o600);
    } finally {
      file.close();
    }
  });
});

Deno.test("HashedFile keeps the order of appends that overlap", async () => {
  await withTempDir(async (dir) => {
    const file = await HashedFile.create(`${dir}/a`);
    try {
      const parts = Array.from({ length: 20 }, (_, index) => testBytes(10_000, index));
      await Promise.all(parts.map((part) => file.append(part.slice().buffer, part.byteLength)));
      assert.equal(await file.finish(), sha256(...parts));
      assert.equal(sha256(await Deno.readFile(`${dir}/a`)), sha256(...parts));
    } finally {
      file.close();
    }
  });
});

Deno.test("HashedFile makes an empty file of nothing", async () => {
  await withTempDir(async (dir) => {
    const file = await HashedFile.create(`${dir}/a`);
    try {
      assert.equal(await file.finish(), sha256());
      assert.equal((await Deno.stat(`${dir}/a`)).size, 0);
    } finally {
      file.close();
    }
  });
});

Deno.test("HashedFile never takes a file that exists, and leaves it as it is", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/a`, "mine");
    await assert.rejects(HashedFile.create(`${dir}/a`), { code: "EEXIST" });
    assert.equal(await Deno.readTextFile(`${dir}/a`), "mine");
  });
});

Deno.test("HashedFile rejects what waits when a write fails, and what comes later", async () => {
  await withTempDir(async (dir) => {
    const failing = await HashedFile.create(`${dir}/a`);
    try {
      const tooLong = failing.append(new ArrayBuffer(1), 2);
      const waiting = failing.append(new ArrayBuffer(1), 1);
      await assert.rejects(tooLong);
      await assert.rejects(waiting);
      await assert.rejects(failing.finish());
    } finally {
      failing.close();
    }
  });
});
