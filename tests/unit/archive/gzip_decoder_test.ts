import assert from "node:assert/strict";
import { gzipDecoder } from "../../../src/archive/gzip_decoder.ts";
import { chunksOf, golden, run } from "./helpers.ts";
import { joinBytes } from "./vma_bytes.ts";

async function inflated(
  packed: Uint8Array<ArrayBuffer>,
  chunkSize: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  const decoder = gzipDecoder((chunk) => void parts.push(chunk.slice()));
  try {
    for (const chunk of chunksOf(packed, chunkSize)) await decoder.write(chunk);
    await decoder.end();
  } catch (error) {
    await decoder.cancel(error);
    throw error;
  }
  return joinBytes(...parts);
}

Deno.test("gzipDecoder() inflates what vzdump's gzip and several members in a row hold", async () => {
  const data = await golden("two-disks");
  for (const args of [["--rsyncable"], ["-1"], ["-9"]]) {
    const packed = await run(["gzip", "-c", ...args], data);
    assert.deepEqual(await inflated(packed, 32768), data);
    assert.deepEqual(await inflated(joinBytes(packed, packed), 1000), joinBytes(data, data));
  }
});

Deno.test("gzipDecoder() inflates one byte at a time", async () => {
  const data = await golden("diskless");
  assert.deepEqual(await inflated(await run(["gzip", "-c"], data), 1), data);
});

Deno.test("gzipDecoder() rejects a cut at every byte", async () => {
  const packed = await run(["gzip", "-c"], await golden("diskless"));
  for (let length = 0; length < packed.length; length++) {
    await assert.rejects(inflated(packed.subarray(0, length), 4096), `cut at ${length}`);
  }
});

Deno.test("gzipDecoder() never answers other data, whatever byte is changed", async () => {
  const data = await golden("diskless");
  const packed = await run(["gzip", "-nc"], data);
  let rejected = 0;
  for (let offset = 0; offset < packed.length; offset++) {
    const spoiled = packed.slice();
    spoiled[offset] = (spoiled[offset] ?? 0) ^ 0x10;
    // A few bits mean nothing, such as the system's name in the header.
    const result = await inflated(spoiled, 4096).catch(() => undefined);
    if (result === undefined) rejected += 1;
    else assert.deepEqual(result, data, `byte ${offset}`);
  }
  assert.ok(rejected > packed.length * 0.9);
});

Deno.test("gzipDecoder() rejects anything behind the last member, zeros too, however it is cut into chunks", async () => {
  const packed = await run(["gzip", "-c"], await golden("diskless"));
  const rests = [[0], [0, 0, 0, 0], [0, 1, 2], [1, 2, 3], [0x1f], [0x1f, 0x8b], [0x1f, 0x8b, 8, 0]];
  for (const rest of rests) {
    const spoiled = joinBytes(packed, new Uint8Array(rest));
    for (const size of [1, packed.length, spoiled.length]) {
      await assert.rejects(inflated(spoiled, size), `${rest}`);
    }
  }
});

Deno.test("gzipDecoder() waits for its output to be taken", async () => {
  const packed = await run(["gzip", "-c"], new Uint8Array(8 * 2 ** 20));
  let release = () => {};
  const gate = new Promise<void>((resolve) => release = resolve);
  let delivered = 0;
  const decoder = gzipDecoder(async (chunk) => {
    await gate;
    delivered += chunk.length;
  });
  let isWritten = false;
  const written = decoder.write(packed).then(() => isWritten = true);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(isWritten, false);
  release();
  await written;
  await decoder.end();
  assert.equal(delivered, 8 * 2 ** 20);
});

Deno.test("gzipDecoder() rejects the write during which its consumer fails, and those after", async () => {
  const packed = await run(["gzip", "-c"], await golden("several-extents"));
  const decoder = gzipDecoder(() => {
    throw new RangeError("no more");
  });
  await assert.rejects(async () => {
    for (;;) await decoder.write(packed);
  }, /no more/);
  await assert.rejects(decoder.write(packed), /no more/);
  await assert.rejects(decoder.end(), /no more/);
  await decoder.cancel("over");
});

Deno.test("gzipDecoder() rejects a waiting write when its consumer fails late", async () => {
  const packed = await run(["gzip", "-c"], await golden("several-extents"));
  const decoder = gzipDecoder(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new RangeError("too late");
  });
  await assert.rejects(decoder.write(packed), /too late/);
});
