import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Hasher } from "../../../src/store/hasher.ts";
import { testBytes } from "../core/test_source.ts";

Deno.test("Hasher gives the sha256 of the lengths given, and the buffers back", async () => {
  const hasher = new Hasher();
  try {
    const bytes = testBytes(100_000);
    const first = await hasher.update(bytes.buffer.slice(0), 100_000);
    assert.equal(first.byteLength, 100_000);
    const second = await hasher.update(first, 1);
    await hasher.update(second, 0);
    const expected = createHash("sha256").update(bytes).update(bytes.subarray(0, 1)).digest("hex");
    assert.equal(await hasher.finish(), expected);
  } finally {
    hasher.close();
  }
});

Deno.test("Hasher keeps the order of updates that overlap", async () => {
  const hasher = new Hasher();
  try {
    const parts = Array.from({ length: 20 }, (_, index) => testBytes(10_000, index));
    const expected = createHash("sha256");
    for (const part of parts) expected.update(part);
    await Promise.all(parts.map((part) => hasher.update(part.slice().buffer, part.byteLength)));
    assert.equal(await hasher.finish(), expected.digest("hex"));
  } finally {
    hasher.close();
  }
});

Deno.test("Hasher knows the sha256 of nothing", async () => {
  const hasher = new Hasher();
  try {
    assert.equal(await hasher.finish(), createHash("sha256").digest("hex"));
  } finally {
    hasher.close();
  }
});

Deno.test("Hasher rejects what waits when its thread fails, and what comes later", async () => {
  const hasher = new Hasher();
  try {
    const tooLong = hasher.update(new ArrayBuffer(1), 2);
    const waiting = hasher.update(new ArrayBuffer(1), 1);
    await assert.rejects(tooLong, /hashing thread failed/);
    await assert.rejects(waiting, /hashing thread failed/);
    await assert.rejects(hasher.finish(), /hashing thread failed/);
  } finally {
    hasher.close();
  }
});
