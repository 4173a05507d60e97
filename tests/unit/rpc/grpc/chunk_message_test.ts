import { fromBinary } from "@bufbuild/protobuf";
import { BytesValueSchema } from "@bufbuild/protobuf/wkt";
import assert from "node:assert/strict";
import { CHUNK_PREFIX_BYTES, writeChunkPrefix } from "../../../../src/rpc/grpc/chunk_message.ts";
import { EnvelopeDecoder } from "../../../../src/rpc/grpc/envelope.ts";
import { serverStreaming } from "../../../../src/rpc/grpc/methods.ts";
import { FramedBuffer } from "../../../../src/rpc/http2/framed_buffer.ts";
import { startCall, TEXT } from "./echo_service.ts";

/** Bytes that tell their place. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, index) => index * 31 + (index >> 8));

Deno.test("writeChunkPrefix() writes gRPC's prefix, the tag and a length of fixed width", () => {
  const target = new Uint8Array(CHUNK_PREFIX_BYTES);
  writeChunkPrefix(target, 1, 3);
  assert.deepEqual(target, new Uint8Array([0, 0, 0, 0, 8, 0x0a, 0x83, 0x80, 0x80, 0]));
  writeChunkPrefix(target, 2, 0x0fffffff);
  assert.deepEqual(target, new Uint8Array([0, 0x10, 0, 0, 4, 0x12, 0xff, 0xff, 0xff, 0x7f]));
});

Deno.test("writeChunkPrefix() makes a message that protobuf reads", () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 1_000_000]) {
    const body = new Uint8Array(CHUNK_PREFIX_BYTES + length);
    body.set(pattern(length), CHUNK_PREFIX_BYTES);
    writeChunkPrefix(body.subarray(0, CHUNK_PREFIX_BYTES), 1, length);
    const [message] = new EnvelopeDecoder().decode(body);
    assert.ok(message);
    assert.deepEqual(fromBinary(BytesValueSchema, message).value, pattern(length));
  }
});

Deno.test("writeChunkPrefix() refuses what does not fit its form", () => {
  const target = new Uint8Array(CHUNK_PREFIX_BYTES);
  for (const [field, length] of [[0, 1], [16, 1], [1, 1 << 28]] as const) {
    assert.throws(() => writeChunkPrefix(target, field, length), RangeError);
  }
  assert.throws(() => writeChunkPrefix(target.subarray(1), 1, 1), RangeError);
});

Deno.test("sendChunk() sends what lies in a framed buffer, between other messages", async () => {
  const data = pattern(50_000);
  const method = serverStreaming(TEXT, async (_, responses) => {
    const buffer = new FramedBuffer(64 * 1024, { prefix: CHUNK_PREFIX_BYTES });
    for (const part of [data.subarray(0, 40_000), data.subarray(40_000)]) {
      for (let rest = part; rest.length > 0;) {
        const region = buffer.next();
        const taken = rest.subarray(0, region.length);
        region.set(taken);
        buffer.filled(taken.length);
        rest = rest.subarray(taken.length);
      }
      await responses.sendChunk(1, buffer);
      buffer.clear();
    }
    await responses.send("");
  });
  const { stream, answered } = startCall({ "test.Chunk": { Read: method } }, "/test.Chunk/Read");
  stream.sendOnly("");
  await answered;
  const messages = [...new EnvelopeDecoder().decode(stream.body)];
  const chunks = messages.map((message) => fromBinary(BytesValueSchema, message).value);
  assert.deepEqual(chunks.map((chunk) => chunk.length), [40_000, 10_000, 0]);
  assert.deepEqual(new Uint8Array(chunks.flatMap((chunk) => [...chunk])), data);
  assert.equal(stream.status[0], 0);
});

Deno.test("sendChunk() refuses a buffer without room for what stands before the data", async () => {
  const method = serverStreaming(TEXT, (_, responses) => responses.sendChunk(1, new FramedBuffer(1000)));
  const { stream, answered } = startCall({ "test.Chunk": { Read: method } }, "/test.Chunk/Read");
  stream.sendOnly("");
  await answered;
  assert.match(stream.status[1], /Cannot lay out a chunk/);
});
