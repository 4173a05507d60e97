import assert from "node:assert/strict";
import { FramedBuffer } from "../../../../src/rpc/http2/framed_buffer.ts";
import { readFrameHeader } from "../../../../src/rpc/http2/frames.ts";
import { concat, hex, pattern, toHex } from "./bytes.ts";

/** Fills the buffer with at most `length` bytes, `step` at a time; answers how many went in. */
function fill(buffer: FramedBuffer, length: number, step = 5_000): number {
  let filled = 0;
  while (filled < length && !buffer.isFull) {
    const region = buffer.next();
    const bytes = Math.min(region.length, step, length - filled);
    region.set(pattern(bytes, filled));
    buffer.filled(bytes);
    filled += bytes;
  }
  return filled;
}

/** The payloads of the DATA frames that `bytes` are, without anything between them. */
function payloads(bytes: Uint8Array, streamId: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const header = readFrameHeader(bytes, at);
    assert.deepEqual({ ...header, length: 0 }, { length: 0, type: 0, flags: 0, streamId });
    found.push(bytes.slice(at + 9, at + 9 + header.length));
    at += 9 + header.length;
  }
  return found;
}

Deno.test("FramedBuffer lays DATA frames out in place, the last one short", () => {
  const buffer = new FramedBuffer(100_000, { prefix: 10 });
  assert.equal(fill(buffer, 40_000), 40_000);
  assert.equal(buffer.length, 40_000);
  assert.equal(buffer.isFull, false);
  buffer.prefix.set(hex("00112233445566778899"));
  const region = buffer.next();
  const frames = buffer.take(7, buffer.unsent);
  assert.equal(frames.buffer, region.buffer, "The frames are sent from where they are");
  const found = payloads(frames, 7);
  assert.deepEqual(found.map(({ length }) => length), [16_384, 16_384, 40_010 - 2 * 16_384]);
  assert.equal(toHex(concat(...found)), "00112233445566778899" + toHex(pattern(40_000)));
});

Deno.test("FramedBuffer gives regions of several frames, and moves what came in one piece apart", () => {
  const buffer = new FramedBuffer(6 * 16_393, { prefix: 10 });
  const sizes: number[] = [];
  for (let filled = 0; !buffer.isFull;) {
    const region = buffer.next();
    sizes.push(region.length);
    region.set(pattern(region.length, filled));
    filled += region.length;
    buffer.filled(region.length);
  }
  assert.deepEqual(sizes, [65_536, 2 * 16_384 - 10]);
  assert.equal(buffer.next().length, 0);
  const found = payloads(buffer.take(1, buffer.unsent), 1);
  assert.deepEqual(found.map(({ length }) => length), Array(6).fill(16_384));
  assert.equal(toHex(concat(...found).subarray(10)), toHex(pattern(6 * 16_384 - 10)));
});

Deno.test("FramedBuffer is full when only a frame header would still fit", () => {
  for (const spare of [0, 5, 9, 10]) {
    const buffer = new FramedBuffer(16_393 + spare);
    assert.equal(fill(buffer, 100_000), 16_384 + Math.max(0, spare - 9));
    const found = payloads(buffer.take(1, buffer.unsent), 1);
    assert.equal(toHex(concat(...found)), toHex(pattern(buffer.length)));
  }
});

for (const limits of [[1], [8, 1], [9], [10], [1000], [16_384], [20_000, 3], [50_000]]) {
  Deno.test(`FramedBuffer sends the same bytes through windows of ${limits.join(", ")} bytes`, () => {
    const buffer = new FramedBuffer(50_000, { prefix: 4 });
    const length = fill(buffer, 33_000, 16_384);
    buffer.prefix.set(hex("aabbccdd"));
    const found: Uint8Array[] = [];
    for (let turn = 0; buffer.unsent > 0; turn++) {
      const limit = limits[turn % limits.length]!;
      const frames = buffer.take(1, Math.min(limit, buffer.unsent));
      const parts = payloads(frames, 1);
      assert.ok(parts.every((part) => part.length <= 16_384));
      assert.ok(parts.reduce((sum, part) => sum + part.length, 0) <= limit);
      found.push(...parts);
    }
    assert.equal(toHex(concat(...found)), "aabbccdd" + toHex(pattern(length)));
  });
}

Deno.test("FramedBuffer goes on in the buffer that a read transferred", () => {
  const buffer = new FramedBuffer(20_000, { prefix: 2 });
  let filled = 0;
  while (!buffer.isFull) {
    const region = buffer.next();
    const [offset, bytes] = [region.byteOffset, Math.min(1_000, region.length)];
    const moved = region.buffer.transfer();
    new Uint8Array(moved, offset, bytes).set(pattern(bytes, filled));
    buffer.filled(bytes, moved);
    filled += bytes;
  }
  buffer.prefix.set(hex("ffff"));
  assert.equal(buffer.length, 20_000 - 2 * 9 - 2);
  const found = concat(...payloads(buffer.take(1, buffer.unsent), 1));
  assert.equal(toHex(found), "ffff" + toHex(pattern(filled)));
});

Deno.test("FramedBuffer is as new after clear()", () => {
  const buffer = new FramedBuffer(20_000);
  for (const length of [19_000, 5]) {
    fill(buffer, length);
    const found = concat(...payloads(buffer.take(3, buffer.unsent), 3));
    assert.equal(toHex(found), toHex(pattern(length)));
    buffer.clear();
    assert.deepEqual([buffer.length, buffer.unsent, buffer.isFull], [0, 0, false]);
  }
});

Deno.test("FramedBuffer refuses what cannot be", () => {
  assert.throws(() => new FramedBuffer(19, { prefix: 10 }), RangeError);
  assert.throws(() => new FramedBuffer(100).filled(92), RangeError);
  assert.throws(() => new FramedBuffer(100).filled(1, new ArrayBuffer(99)), RangeError);
});
