import assert from "node:assert/strict";
import { ConnectionError, ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import { FrameDecoder } from "../../../../src/rpc/http2/frame_decoder.ts";
import { CLIENT_PREFACE, Flag, type Frame, frame, FrameType } from "../../../../src/rpc/http2/frames.ts";
import { concat, hex, pattern, toHex } from "./bytes.ts";

/** Every type, empty ones, padded DATA with content and without, one unknown. */
const FRAMES = [
  frame(FrameType.SETTINGS, 0, 0, hex("0003 00000064")),
  frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.PADDED, 1, hex("02 82 86 0000")),
  frame(FrameType.DATA, 0, 1, pattern(40)),
  frame(FrameType.DATA, Flag.PADDED, 1, concat(hex("03"), pattern(20), hex("000000"))),
  frame(FrameType.DATA, Flag.PADDED, 1, hex("02 0000")),
  frame(FrameType.DATA, Flag.PADDED, 1, hex("00")),
  frame(FrameType.PING, 0, 0, pattern(8)),
  frame(FrameType.SETTINGS, Flag.ACK, 0),
  frame(0x77, 0xff, 5, pattern(3)),
  frame(FrameType.PRIORITY, 0, 3, hex("00000000 10")),
  frame(FrameType.DATA, Flag.PADDED | Flag.END_STREAM, 1, concat(hex("0a"), pattern(5), new Uint8Array(10))),
  frame(FrameType.RST_STREAM, 0, 3, hex("00000008")),
  frame(FrameType.GOAWAY, 0, 0, hex("00000000 00000000")),
  frame(FrameType.WINDOW_UPDATE, 0, 1, hex("00000001")),
  frame(FrameType.CONTINUATION, 0, 7),
  frame(FrameType.DATA, Flag.END_STREAM, 3),
];
const STREAM = concat(CLIENT_PREFACE, ...FRAMES);

/** What the chunks say, with the parts of DATA put together again. */
function decodeAll(chunks: readonly Uint8Array[]): string[] {
  const decoder = new FrameDecoder();
  const said: string[] = [];
  let data: Frame | undefined;
  for (const chunk of chunks) {
    // A copy that is wiped shows whoever keeps a view of it.
    const lent = chunk.slice();
    for (const part of decoder.decode(lent)) {
      const joined: Frame = data && part.type === FrameType.DATA
        ? {
          ...part,
          payload: concat(data.payload, part.payload),
          flowLength: data.flowLength + part.flowLength,
        }
        : { ...part, payload: part.payload.slice() };
      data = undefined;
      if (part.type === FrameType.DATA && joined.flowLength < wholeLength(said.length)) {
        assert.ok(!(part.flags & Flag.END_STREAM), "Only the last part may end the stream");
        data = joined;
        continue;
      }
      said.push(`${part.type} ${part.flags} ${part.streamId} ${joined.flowLength} ${toHex(joined.payload)}`);
    }
    lent.fill(0xee);
  }
  return said;
}

function wholeLength(place: number): number {
  return FRAMES[place]!.length - 9;
}

const EXPECTED = FRAMES.map((bytes) => {
  const [type = 0, flags = 0] = bytes.subarray(3, 5);
  const payload = bytes.subarray(9);
  if (type !== FrameType.DATA) return `${type} ${flags} ${bytes[8]} 0 ${toHex(payload)}`;
  const padded = (flags & Flag.PADDED) !== 0;
  const content = padded ? payload.subarray(1, payload.length - payload[0]!) : payload;
  return `0 ${flags} ${bytes[8]} ${payload.length} ${toHex(content)}`;
});

Deno.test("FrameDecoder hands over the frames of one chunk", () => {
  assert.deepEqual(decodeAll([STREAM]), EXPECTED);
});

Deno.test("FrameDecoder hands over the same frames wherever the bytes are cut", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    assert.deepEqual(decodeAll([STREAM.subarray(0, cut), STREAM.subarray(cut)]), EXPECTED, `cut at ${cut}`);
  }
});

for (const size of [1, 2, 3, 10]) {
  Deno.test(`FrameDecoder hands over the same frames from chunks of ${size} bytes`, () => {
    const chunks = Array.from(
      { length: Math.ceil(STREAM.length / size) },
      (_, place) => STREAM.subarray(place * size, (place + 1) * size),
    );
    assert.deepEqual(decodeAll(chunks), EXPECTED);
  });
}

Deno.test("FrameDecoder passes DATA on without copying it, also before the frame is whole", () => {
  const decoder = new FrameDecoder();
  const chunk = concat(CLIENT_PREFACE, frame(FrameType.DATA, 0, 1, pattern(1000)).subarray(0, 509));
  const [part] = [...decoder.decode(chunk)];
  assert.equal(part?.payload.buffer, chunk.buffer);
  assert.equal(part?.payload.length, 500);
});

const refused: [what: string, bytes: Uint8Array, code: ErrorCode][] = [
  ["another protocol", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), ErrorCode.PROTOCOL_ERROR],
  [
    "a preface with a wrong last byte",
    concat(CLIENT_PREFACE.subarray(0, 23), hex("20")),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "a frame over 16,384 bytes",
    concat(CLIENT_PREFACE, hex("004001 00 00 00000001")),
    ErrorCode.FRAME_SIZE_ERROR,
  ],
  [
    "padding as long as its frame",
    concat(CLIENT_PREFACE, frame(FrameType.DATA, Flag.PADDED, 1, hex("03 0000"))),
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "a padded frame without room for the length",
    concat(CLIENT_PREFACE, frame(FrameType.DATA, Flag.PADDED, 1)),
    ErrorCode.FRAME_SIZE_ERROR,
  ],
];

for (const [what, bytes, code] of refused) {
  Deno.test(`FrameDecoder refuses ${what}`, () => {
    assert.throws(
      () => [...new FrameDecoder().decode(bytes)],
      (error) => error instanceof ConnectionError && error.code === code,
    );
  });
}

Deno.test("FrameDecoder hands over what came before a fault", () => {
  const frames: number[] = [];
  const bytes = concat(CLIENT_PREFACE, frame(FrameType.PING, 0, 0, pattern(8)), hex("ffffff 00 00 00000001"));
  assert.throws(() => {
    for (const { type } of new FrameDecoder().decode(bytes)) frames.push(type);
  }, ConnectionError);
  assert.deepEqual(frames, [FrameType.PING]);
});
