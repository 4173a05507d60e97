import assert from "node:assert/strict";
import { encodeEnvelope, EnvelopeDecoder } from "../../../../src/rpc/grpc/envelope.ts";
import { Status } from "../../../../src/rpc/grpc/status.ts";
import { envelope } from "./memory_stream.ts";

const text = new TextDecoder();
const hasCode = (code: number) => (error: unknown) => (error as { code?: number }).code === code;

/** All messages in `pieces`, read before the next piece comes. */
function decodeAll(pieces: Iterable<Uint8Array>, decoder = new EnvelopeDecoder()): string[] {
  const messages: string[] = [];
  for (const piece of pieces) {
    for (const message of decoder.decode(piece)) messages.push(text.decode(message));
  }
  decoder.end();
  return messages;
}

/** `bytes` in pieces that end at `cuts`. */
function cut(bytes: Uint8Array, ...cuts: number[]): Uint8Array[] {
  return [...cuts, bytes.length].map((end, index) => bytes.subarray(cuts[index - 1] ?? 0, end));
}

const MESSAGES = ["", "a", "hello", "", "x".repeat(300), "end"];
const BODY = new Uint8Array(MESSAGES.flatMap((message) => [...envelope(message)]));

Deno.test("encodeEnvelope() puts flag and big-endian length before the message", () => {
  assert.deepEqual(encodeEnvelope(new Uint8Array()), new Uint8Array(5));
  assert.deepEqual(encodeEnvelope(new Uint8Array([7, 8])), new Uint8Array([0, 0, 0, 0, 2, 7, 8]));
  const large = encodeEnvelope(new Uint8Array(0x010203));
  assert.deepEqual(large.slice(0, 5), new Uint8Array([0, 0, 1, 2, 3]));
  assert.equal(large.length, 5 + 0x010203);
});

Deno.test("EnvelopeDecoder finds several messages in one piece", () => {
  assert.deepEqual(decodeAll([BODY]), MESSAGES);
});

Deno.test("EnvelopeDecoder finds the messages wherever the body is cut", () => {
  for (let at = 0; at <= BODY.length; at++) assert.deepEqual(decodeAll(cut(BODY, at)), MESSAGES);
  for (let at = 0; at < 60; at++) {
    for (let then = at; then < 60; then++) assert.deepEqual(decodeAll(cut(BODY, at, then)), MESSAGES);
  }
});

Deno.test("EnvelopeDecoder finds the messages in pieces of one and two bytes", () => {
  for (const size of [1, 2, 3]) {
    const pieces = Array.from(
      { length: Math.ceil(BODY.length / size) },
      (_, index) => BODY.subarray(index * size, (index + 1) * size),
    );
    assert.deepEqual(decodeAll(pieces), MESSAGES);
  }
});

Deno.test("EnvelopeDecoder.end() refuses a body that is cut inside of a message, anywhere", () => {
  const bounds = new Set<number>();
  let end = 0;
  for (const message of MESSAGES) bounds.add(end += 5 + message.length);
  for (let length = 1; length < BODY.length; length++) {
    const body = BODY.subarray(0, length);
    if (bounds.has(length)) decodeAll([body]);
    else assert.throws(() => decodeAll([body]), hasCode(Status.INTERNAL), `${length}`);
  }
});

Deno.test("EnvelopeDecoder takes a message of just the limit and refuses a longer one by its prefix alone", () => {
  assert.deepEqual(decodeAll([envelope("12345678")], new EnvelopeDecoder(8)), ["12345678"]);
  const prefix = envelope("123456789").subarray(0, 5);
  assert.throws(() => decodeAll([prefix], new EnvelopeDecoder(8)), hasCode(Status.RESOURCE_EXHAUSTED));
  const huge = new Uint8Array([0, 255, 255, 255, 255]);
  assert.throws(() => decodeAll([huge]), /4294967295 bytes: at most 4194304/);
});

Deno.test("EnvelopeDecoder refuses a compressed message and unknown flags", () => {
  assert.throws(() => decodeAll([envelope("a", 1)]), hasCode(Status.UNIMPLEMENTED));
  for (const flag of [2, 128, 255]) {
    assert.throws(() => decodeAll([envelope("a", flag)]), hasCode(Status.INTERNAL));
  }
});

Deno.test("EnvelopeDecoder copies nothing of a message that comes in one piece", () => {
  const body = envelope("whole");
  const [message] = new EnvelopeDecoder().decode(body);
  assert.equal(message?.buffer, body.buffer);
});

Deno.test("EnvelopeDecoder collects message after message in the same memory", () => {
  const decoder = new EnvelopeDecoder();
  const buffers = new Set<ArrayBufferLike>();
  for (let round = 0; round < 10; round++) {
    for (const piece of cut(envelope("y".repeat(1000)), 500)) {
      for (const message of decoder.decode(piece)) {
        assert.equal(text.decode(message), "y".repeat(1000));
        buffers.add(message.buffer);
      }
    }
  }
  assert.equal(buffers.size, 1);
});
