import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BUFFER_BYTES, TRANSFER_BYTES } from "../../../src/core/bytes.ts";
import { copyBuffered } from "../../../src/store/buffered_copy.ts";
import { SOURCE_KINDS, testBytes, TestSource, type TestSourceOptions } from "../core/test_source.ts";

const pause = (milliseconds = 0) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** A `use` that copies the bytes, takes the buffer away as a transfer does, and gives it back after `before`. */
function noting(before: (length: number) => Promise<void> = () => Promise.resolve()) {
  const used: Uint8Array[] = [];
  const use = async (buffer: ArrayBuffer, length: number) => {
    used.push(new Uint8Array(buffer.slice(0, length)));
    const away = structuredClone(buffer, { transfer: [buffer] });
    await before(length);
    return away;
  };
  return { use, used };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const SIZES = [
  0,
  1,
  TRANSFER_BYTES - 1,
  TRANSFER_BYTES,
  TRANSFER_BYTES + 1,
  BUFFER_BYTES - 1,
  BUFFER_BYTES,
  BUFFER_BYTES + 1,
  6 * BUFFER_BYTES + 12_345,
];

for (const [kind, options] of SOURCE_KINDS) {
  Deno.test(`copyBuffered() hands over every byte of ${kind} in order`, async () => {
    for (const size of SIZES) {
      const bytes = testBytes(size);
      const { use, used } = noting();
      await copyBuffered(new TestSource(bytes, options), use);
      assert.ok(same(joined(used), bytes), `${size} bytes`);
    }
  });
}

Deno.test("copyBuffered() makes one large buffer of single bytes", async () => {
  const bytes = testBytes(50_000);
  const { use, used } = noting();
  await copyBuffered(new TestSource(bytes, { chunk: 1, transfers: true }), use);
  assert.equal(used.length, 1);
  assert.ok(same(joined(used), bytes));
});

Deno.test("copyBuffered() reads on while buffers are in use, but keeps few of them", async () => {
  const source = new TestSource(testBytes(12 * BUFFER_BYTES));
  const ahead: number[] = [];
  let back = 0;
  const { use } = noting(async (length) => {
    await pause(20);
    ahead.push(source.delivered - back);
    back += length;
  });
  await copyBuffered(source, use);
  assert.equal(back, 12 * BUFFER_BYTES);
  assert.ok(Math.max(...ahead) > BUFFER_BYTES, "it read nothing meanwhile");
  assert.ok(Math.max(...ahead) <= 4 * BUFFER_BYTES, `${Math.max(...ahead)} bytes were held`);
});

Deno.test("copyBuffered() rejects with the source's failure, after every buffer has come back", async () => {
  const error = new Error("vzdump failed");
  for (const failAt of [0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, 5 * BUFFER_BYTES]) {
    let away = 0;
    const { use } = noting(async () => {
      away++;
      await pause(5);
      away--;
    });
    const options: TestSourceOptions = { failAt, error, transfers: true };
    const copy = copyBuffered(new TestSource(testBytes(8 * BUFFER_BYTES), options), use);
    await assert.rejects(copy, (thrown) => thrown === error, `at ${failAt}`);
    assert.equal(away, 0, `a buffer was still away after the failure at ${failAt}`);
  }
});

Deno.test("copyBuffered() rejects with the first failure of a use", async () => {
  const error = new Error("No space left on device");
  for (const failing of [0, 1, 6]) {
    let uses = 0;
    const { use } = noting(() => uses++ === failing ? Promise.reject(error) : pause());
    const copy = copyBuffered(new TestSource(testBytes(7 * BUFFER_BYTES)), use);
    await assert.rejects(copy, (thrown) => thrown === error);
  }
});

Deno.test("copyBuffered() leaves cancelling to its caller", async () => {
  const source = new TestSource(testBytes(10));
  const { use } = noting(() => Promise.reject(new Error("full")));
  await assert.rejects(copyBuffered(source, use));
  assert.deepEqual(source.cancels, []);
});
