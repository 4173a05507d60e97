import assert from "node:assert/strict";
import { drain, TRANSFER_BYTES } from "../../../src/core/bytes.ts";
import { SOURCE_KINDS, testBytes, TestSource, type TestSourceOptions } from "./test_source.ts";

async function drained(source: TestSource): Promise<Uint8Array> {
  const taken: number[] = [];
  await drain(source, (chunk) => void taken.push(...chunk));
  return new Uint8Array(taken);
}

const KINDS: readonly [string, TestSourceOptions][] = [
  ...SOURCE_KINDS,
  ["single bytes", { chunk: 1, transfers: true }],
];

for (const [kind, options] of KINDS) {
  Deno.test(`drain() hands over every byte of ${kind} in order`, async () => {
    const bytes = testBytes(2 * TRANSFER_BYTES + 1);
    assert.deepEqual(await drained(new TestSource(bytes, options)), bytes);
  });
}

Deno.test("drain() hands over nothing when the source is empty", async () => {
  assert.equal((await drained(new TestSource(new Uint8Array(0)))).byteLength, 0);
});

Deno.test("drain() reads on only after the taker is done with the chunk", async () => {
  const source = new TestSource(testBytes(10), { chunk: 1 });
  const seen: number[] = [];
  await drain(source, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    seen.push(source.delivered);
  });
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

Deno.test("drain() rejects with the source's own error", async () => {
  const error = new Error("exit status 3");
  await assert.rejects(drained(new TestSource(testBytes(9), { failAt: 9, error })), error);
});

Deno.test("drain() rejects with the taker's error and reads no further", async () => {
  const source = new TestSource(testBytes(9), { chunk: 3 });
  const error = new Error("disk full");
  await assert.rejects(drain(source, () => Promise.reject(error)), error);
  assert.equal(source.delivered, 3);
});
