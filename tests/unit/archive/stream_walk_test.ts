import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  peek,
  type Position,
  skip,
  StreamWalk,
  take,
  upTo,
  type Walk,
} from "../../../src/archive/stream_walk.ts";
import { damageOf, seededRandom, walked } from "./helpers.ts";

/** Reads `<length byte> <data>` records, jumping over every second one. */
function* records(at: Position): Walk<string[]> {
  const texts: string[] = [];
  for (let isSkipped = false;; isSkipped = !isSkipped) {
    const [length] = yield upTo(1);
    if (length === undefined) return texts;
    const [ahead] = yield peek(1);
    if (isSkipped) yield skip(length, "a skipped record");
    else texts.push(`${at.offset}:${ahead}:${Array.from(yield take(length, "a record")).join(",")}`);
  }
}

const STREAM = new Uint8Array([3, 7, 8, 9, 2, 0, 0, 0, 4, 1, 2, 3, 4]);

Deno.test("StreamWalk gives a walk the same pieces whatever the chunks", () => {
  const random = seededRandom(5);
  const stream = new Uint8Array([3, 7, 8, 9, 2, 0, 0, 0, 1, 5, 4, 1, 2, 3, 4]);
  const expected = walked(records, stream, stream.length);
  assert.deepEqual(expected, ["1:7:7,8,9", "8:1:", "11:1:1,2,3,4"]);
  for (const size of [1, 2, 3, 4, 5, 7]) assert.deepEqual(walked(records, stream, size), expected);
  for (let round = 0; round < 50; round++) {
    assert.deepEqual(walked(records, stream, () => 1 + random(6)), expected);
  }
});

Deno.test("StreamWalk says where a stream ends too early and inside what", () => {
  assert.equal(
    damageOf(records, STREAM.slice(0, 2), 1)?.message,
    "Archive is cut: it ends at byte 2, 2 bytes before the end of a record",
  );
  assert.equal(
    damageOf(records, STREAM.slice(0, 5), 1)?.message,
    "Archive is cut: it ends at byte 5, 2 bytes before the end of a skipped record",
  );
});

Deno.test("StreamWalk keeps none of a chunk's bytes beyond push()", () => {
  const stream = new StreamWalk(records);
  const chunk = new Uint8Array(2);
  for (let start = 0; start < 4; start += 2) {
    chunk.set(STREAM.subarray(start, start + 2));
    stream.push(chunk);
    chunk.fill(0);
  }
  assert.deepEqual(stream.end(), ["1:7:7,8,9"]);
});

Deno.test("StreamWalk gives a walk pieces it can copy by slice(), from a Buffer too", () => {
  function* copying(): Walk<number[]> {
    const piece = yield take(2, "two bytes");
    const copy = piece.slice();
    piece.fill(0);
    yield upTo(1);
    return [...copy];
  }
  const stream = new StreamWalk(copying);
  stream.push(Buffer.from([1, 2]));
  assert.deepEqual(stream.end(), [1, 2]);
});

Deno.test("StreamWalk fails again at the end after a push failed", () => {
  function* failing(at: Position): Walk<string> {
    yield take(1, "a byte");
    throw at.damage(0, "it is bad");
  }
  const stream = new StreamWalk(failing);
  assert.throws(() => stream.push(new Uint8Array(1)), /it is bad$/);
  assert.throws(() => stream.end(), /is bad$/);
});

Deno.test("StreamWalk takes memory for a piece only as its bytes arrive", () => {
  function* greedy(): Walk<number> {
    return (yield take(2 ** 40, "a forged length")).length;
  }
  const stream = new StreamWalk(greedy);
  for (let round = 0; round < 100; round++) stream.push(new Uint8Array(1000));
  assert.throws(() => stream.end(), /it ends at byte 100000, \d+ bytes before the end of a forged length$/);
});
