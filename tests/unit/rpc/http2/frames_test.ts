import assert from "node:assert/strict";
import {
  type Frame,
  frame,
  FrameType,
  goAwayFrame,
  headerFrames,
  MAX_FRAME_PAYLOAD,
  pingAckFrame,
  readFrameHeader,
  resetFrame,
  settingsAckFrame,
  settingsFrame,
  windowUpdateFrame,
} from "../../../../src/rpc/http2/frames.ts";
import { CLIENT_PREFACE } from "../../../../src/rpc/http2/frames.ts";
import { FrameDecoder } from "../../../../src/rpc/http2/frame_decoder.ts";
import { ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import { concat, hex, pattern, toHex } from "./bytes.ts";

const golden: Record<string, [frame: Uint8Array, bytes: string]> = {
  "settingsFrame()": [
    settingsFrame([[0x3, 100], [0x4, 1048576], [0x6, 0xffff_ffff]]),
    "000012 04 00 00000000  0003 00000064  0004 00100000  0006 ffffffff",
  ],
  "settingsAckFrame()": [settingsAckFrame(), "000000 04 01 00000000"],
  "pingAckFrame()": [pingAckFrame(hex("0102030405060708")), "000008 06 01 00000000 0102030405060708"],
  "windowUpdateFrame()": [windowUpdateFrame(0x12345, 0x7fff_ffff), "000004 08 00 00012345 7fffffff"],
  "resetFrame()": [resetFrame(3, ErrorCode.REFUSED_STREAM), "000004 03 00 00000003 00000007"],
  "goAwayFrame()": [
    goAwayFrame(0x7fff_ffff, ErrorCode.ENHANCE_YOUR_CALM, "calm"),
    "00000c 07 00 00000000 7fffffff 0000000b 63616c6d",
  ],
  "headerFrames()": [headerFrames(1, hex("8288"), false), "000002 01 04 00000001 8288"],
  "headerFrames() that end the stream": [headerFrames(1, hex("8288"), true), "000002 01 05 00000001 8288"],
  "headerFrames() of an empty block": [headerFrames(1, hex(""), true), "000000 01 05 00000001"],
  "frame()": [frame(FrameType.DATA, 0x1, 0x7fff_ffff, hex("00ff")), "000002 00 01 7fffffff 00ff"],
};

for (const [what, [bytes, expected]] of Object.entries(golden)) {
  Deno.test(`${what} is written byte for byte`, () => {
    assert.equal(toHex(bytes), toHex(hex(expected)));
  });
}

Deno.test("headerFrames() continues a large block, and only the last frame ends it", () => {
  const block = pattern(2 * MAX_FRAME_PAYLOAD + 5);
  const frames = [...decode(headerFrames(9, block, true))];
  assert.deepEqual(
    frames.map(({ type, flags, length }) => [type, flags, length]),
    [[0x1, 0x1, MAX_FRAME_PAYLOAD], [0x9, 0x0, MAX_FRAME_PAYLOAD], [0x9, 0x4, 5]],
  );
  assert.deepEqual(concat(...frames.map(({ payload }) => payload)), block);
});

Deno.test("readFrameHeader() leaves the reserved bit out", () => {
  assert.deepEqual(readFrameHeader(hex("eeee 000001 02 03 ffffffff"), 2), {
    length: 1,
    type: 0x02,
    flags: 0x03,
    streamId: 0x7fff_ffff,
  });
});

Deno.test("FrameDecoder reads back each frame that is written", () => {
  for (const [what, [bytes]] of Object.entries(golden)) {
    const [read, ...more] = [...decode(bytes)];
    assert.ok(read && more.length === 0, what);
    assert.equal(toHex(frame(read.type, read.flags, read.streamId, read.payload)), toHex(bytes), what);
  }
});

function* decode(bytes: Uint8Array): Generator<Frame> {
  const decoder = new FrameDecoder();
  for (const _ of decoder.decode(CLIENT_PREFACE)) assert.fail("The preface is no frame");
  yield* decoder.decode(bytes);
}
