import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BUFFER_BYTES, TRANSFER_BYTES } from "../../../src/core/bytes.ts";
import { type BufferSteps, copyBuffered } from "../../../src/store/buffered_copy.ts";
import { SOURCE_KINDS, testBytes, TestSource, type TestSourceOptions } from "../core/test_source.ts";

const pause = (milliseconds = 0) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** Steps that copy the bytes and note what happened. */
function noting(given: Partial<BufferSteps> = {}) {
  const written: Uint8Array[] = [];
  const released: Uint8Array[] = [];
  const steps: BufferSteps = {
    write: async (bytes) => {
      await given.write?.(bytes);
      written.push(bytes.slice());
    },
    release: async (buffer, length) => {
      released.push(new Uint8Array(buffer.slice(0, length)));
      return await given.release?.(buffer, length) ?? structuredClone(buffer, { transfer: [buffer] });
    },
  };
  return { steps, written, released };
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
  Deno.test(`copyBuffered() puts every byte of ${kind} through both steps in order`, async () => {
    for (const size of SIZES) {
      const bytes = testBytes(size);
      const { steps, written, released } = noting();
      await copyBuffered(new TestSource(bytes, options), steps);
      assert.ok(same(joined(written), bytes), `${size} bytes written`);
      assert.ok(same(joined(released), bytes), `${size} bytes released`);
    }
  });
}

Deno.test("copyBuffered() makes large writes of single bytes", async () => {
  const bytes = testBytes(50_000);
  const { steps, written } = noting();
  await copyBuffered(new TestSource(bytes, { chunk: 1, transfers: true }), steps);
  assert.equal(written.length, 1);
  assert.ok(same(joined(written), bytes));
});

Deno.test("copyBuffered() writes one buffer at a time, and releases it before no write of it is done", async () => {
  const log: string[] = [];
  let writes = 0;
  const { steps } = noting({
    write: async () => {
      const turn = writes++;
      log.push(`write ${turn}`);
      await pause(2);
      log.push(`written ${turn}`);
    },
    release: async (buffer) => {
      log.push("release");
      await pause(1);
      return buffer;
    },
  });
  await copyBuffered(new TestSource(testBytes(5 * BUFFER_BYTES)), steps);
  const only = (what: RegExp) => log.filter((line) => what.test(line));
  assert.deepEqual(
    only(/writ/),
    [0, 1, 2, 3, 4].flatMap((turn) => [`write ${turn}`, `written ${turn}`]),
  );
  for (let turn = 0; turn < 5; turn++) {
    const releases = log.slice(0, log.indexOf(`written ${turn}`)).filter((line) => line === "release").length;
    assert.ok(releases <= turn, `release ${turn} came before its write was done`);
  }
  assert.equal(only(/release/).length, 5);
});

Deno.test("copyBuffered() reads on while a write is slow, but keeps few buffers", async () => {
  const source = new TestSource(testBytes(12 * BUFFER_BYTES));
  const ahead: number[] = [];
  let written = 0;
  const { steps } = noting({
    write: async (bytes) => {
      await pause(20);
      ahead.push(source.delivered - written);
      written += bytes.byteLength;
    },
  });
  await copyBuffered(source, steps);
  assert.ok(Math.max(...ahead) > BUFFER_BYTES, "it read nothing while it wrote");
  assert.ok(Math.max(...ahead) <= 4 * BUFFER_BYTES, `${Math.max(...ahead)} bytes were held`);
});

Deno.test("copyBuffered() reads on only when a release gives a buffer back", async () => {
  const source = new TestSource(testBytes(12 * BUFFER_BYTES));
  let released = 0;
  const { steps } = noting({
    release: async (buffer) => {
      await pause(10);
      released++;
      assert.ok(source.delivered <= (released + 4) * BUFFER_BYTES, "more buffers than promised");
      return buffer;
    },
  });
  await copyBuffered(source, steps);
  assert.equal(released, 12);
});

Deno.test("copyBuffered() rejects with the source's failure, after the last write has settled", async () => {
  const error = new Error("vzdump failed");
  for (const failAt of [0, 1, BUFFER_BYTES, BUFFER_BYTES + 1, 5 * BUFFER_BYTES]) {
    let writing = false;
    const { steps } = noting({
      write: async () => {
        writing = true;
        await pause(5);
        writing = false;
      },
    });
    const options: TestSourceOptions = { failAt, error, transfers: true };
    const copy = copyBuffered(new TestSource(testBytes(8 * BUFFER_BYTES), options), steps);
    await assert.rejects(copy, (thrown) => thrown === error, `at ${failAt}`);
    assert.equal(writing, false, `a write went on after the failure at ${failAt}`);
  }
});

Deno.test("copyBuffered() rejects with a write's failure, and makes no other write", async () => {
  const error = new Error("No space left on device");
  for (const failing of [0, 1, 6]) {
    let writes = 0;
    const { steps } = noting({ write: () => writes++ === failing ? Promise.reject(error) : pause() });
    const copy = copyBuffered(new TestSource(testBytes(7 * BUFFER_BYTES)), steps);
    await assert.rejects(copy, (thrown) => thrown === error);
    assert.equal(writes, failing + 1);
  }
});

Deno.test("copyBuffered() rejects with a release's failure", async () => {
  const error = new Error("The hashing thread failed");
  for (const failing of [0, 3, 6]) {
    let releases = 0;
    const { steps } = noting({
      release: (buffer) => releases++ === failing ? Promise.reject(error) : Promise.resolve(buffer),
    });
    const copy = copyBuffered(new TestSource(testBytes(7 * BUFFER_BYTES)), steps);
    await assert.rejects(copy, (thrown) => thrown === error);
  }
});

Deno.test("copyBuffered() leaves cancelling to its caller", async () => {
  const source = new TestSource(testBytes(10));
  const { steps } = noting({ write: () => Promise.reject(new Error("full")) });
  await assert.rejects(copyBuffered(source, steps));
  assert.deepEqual(source.cancels, []);
});
