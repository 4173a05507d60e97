import assert from "node:assert/strict";
import { ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import type { HeaderField } from "../../../../src/rpc/http2/stream.ts";
import { concat, hex, pattern } from "./bytes.ts";
import { echo, PREFACE, rawFrame, REQUEST, settings, TestClient, uint32 } from "./test_client.ts";

const NAMES = Object.fromEntries(Object.entries(ErrorCode).map(([name, code]) => [code, name]));

/** What a greeted client with an open stream 1 sends, and the code of the GOAWAY that it gets for it. */
const connectionErrors: [what: string, frames: Uint8Array[], code: ErrorCode][] = [
  ["SETTINGS on a stream", [rawFrame(0x4, 0, 1)], ErrorCode.PROTOCOL_ERROR],
  ["SETTINGS of 5 bytes", [rawFrame(0x4, 0, 0, pattern(5))], ErrorCode.FRAME_SIZE_ERROR],
  ["SETTINGS ack with a payload", [rawFrame(0x4, 1, 0, settings([3, 1]))], ErrorCode.FRAME_SIZE_ERROR],
  ["an ENABLE_PUSH of 2", [rawFrame(0x4, 0, 0, settings([2, 2]))], ErrorCode.PROTOCOL_ERROR],
  ["a window size of 2^31", [rawFrame(0x4, 0, 0, settings([4, 2 ** 31]))], ErrorCode.FLOW_CONTROL_ERROR],
  ["a frame size of 16,383", [rawFrame(0x4, 0, 0, settings([5, 16_383]))], ErrorCode.PROTOCOL_ERROR],
  ["a frame size of 2^24", [rawFrame(0x4, 0, 0, settings([5, 2 ** 24]))], ErrorCode.PROTOCOL_ERROR],
  [
    "SETTINGS that make an open window too large",
    [rawFrame(0x8, 0, 1, uint32(2 ** 31 - 1 - 65_535)), rawFrame(0x4, 0, 0, settings([4, 65_536]))],
    ErrorCode.FLOW_CONTROL_ERROR,
  ],
  ["PING on a stream", [rawFrame(0x6, 0, 1, pattern(8))], ErrorCode.PROTOCOL_ERROR],
  ["PING of 7 bytes", [rawFrame(0x6, 0, 0, pattern(7))], ErrorCode.FRAME_SIZE_ERROR],
  ["DATA on the connection", [rawFrame(0x0, 0, 0, pattern(1))], ErrorCode.PROTOCOL_ERROR],
  ["DATA on an idle stream", [rawFrame(0x0, 0, 3, pattern(1))], ErrorCode.PROTOCOL_ERROR],
  ["HEADERS on the connection", [rawFrame(0x1, 4, 0, hex("82"))], ErrorCode.PROTOCOL_ERROR],
  ["HEADERS on an even stream", [rawFrame(0x1, 4, 2, hex("828684"))], ErrorCode.PROTOCOL_ERROR],
  ["HEADERS without all of their priority", [rawFrame(0x1, 0x24, 3, hex("82"))], ErrorCode.FRAME_SIZE_ERROR],
  ["HEADERS padded beyond their end", [rawFrame(0x1, 0xc, 3, hex("0382"))], ErrorCode.PROTOCOL_ERROR],
  ["HEADERS that cannot be decoded", [rawFrame(0x1, 4, 3, hex("ff"))], ErrorCode.COMPRESSION_ERROR],
  ["trailers that cannot be decoded", [rawFrame(0x1, 5, 1, hex("80"))], ErrorCode.COMPRESSION_ERROR],
  ["CONTINUATION alone", [rawFrame(0x9, 4, 1, hex("82"))], ErrorCode.PROTOCOL_ERROR],
  [
    "another frame inside a header block",
    [rawFrame(0x1, 0, 3, hex("82")), rawFrame(0x6, 0, 0, pattern(8))],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "DATA inside a header block",
    [rawFrame(0x1, 0, 3, hex("82")), rawFrame(0x0, 0, 1, pattern(8))],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "CONTINUATION of another stream",
    [rawFrame(0x1, 0, 3, hex("82")), rawFrame(0x9, 4, 5, hex("86"))],
    ErrorCode.PROTOCOL_ERROR,
  ],
  [
    "an unknown frame inside a header block",
    [rawFrame(0x1, 0, 3, hex("82")), rawFrame(0x77, 0, 3)],
    ErrorCode.PROTOCOL_ERROR,
  ],
  ["PUSH_PROMISE", [rawFrame(0x5, 4, 1, concat(uint32(2), hex("82")))], ErrorCode.PROTOCOL_ERROR],
  ["PRIORITY on the connection", [rawFrame(0x2, 0, 0, pattern(5))], ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM on the connection", [rawFrame(0x3, 0, 0, uint32(8))], ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM on an idle stream", [rawFrame(0x3, 0, 3, uint32(8))], ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM of 3 bytes", [rawFrame(0x3, 0, 1, pattern(3))], ErrorCode.FRAME_SIZE_ERROR],
  ["GOAWAY on a stream", [rawFrame(0x7, 0, 1, uint32(0, 0))], ErrorCode.PROTOCOL_ERROR],
  ["GOAWAY of 7 bytes", [rawFrame(0x7, 0, 0, pattern(7))], ErrorCode.FRAME_SIZE_ERROR],
  ["WINDOW_UPDATE of 3 bytes", [rawFrame(0x8, 0, 1, pattern(3))], ErrorCode.FRAME_SIZE_ERROR],
  ["WINDOW_UPDATE by 0", [rawFrame(0x8, 0, 0, uint32(0))], ErrorCode.PROTOCOL_ERROR],
  ["WINDOW_UPDATE on an idle stream", [rawFrame(0x8, 0, 3, uint32(1))], ErrorCode.PROTOCOL_ERROR],
  [
    "WINDOW_UPDATE to more than 2^31-1",
    [rawFrame(0x8, 0, 0, uint32(2 ** 31 - 1))],
    ErrorCode.FLOW_CONTROL_ERROR,
  ],
  ["a frame of 16,385 bytes", [rawFrame(0x0, 0, 1, pattern(16_385))], ErrorCode.FRAME_SIZE_ERROR],
];

for (const [what, frames, code] of connectionErrors) {
  Deno.test(`ServerConnection ends with ${NAMES[code]} after ${what}`, async () => {
    await using client = TestClient.greeted(echo);
    client.request(1);
    client.send(...frames);
    const goAway = await client.expect(0x7, 0);
    const view = new DataView(goAway.payload.buffer);
    assert.equal(NAMES[view.getUint32(4)], NAMES[code]);
    await client.finished;
    assert.equal(await client.next(), undefined, "A frame came behind GOAWAY");
  });
}

Deno.test("ServerConnection ends with PROTOCOL_ERROR when the first frame is not SETTINGS", async () => {
  for (const first of [rawFrame(0x6, 0, 0, pattern(8)), rawFrame(0x4, 1, 0)]) {
    const client = new TestClient(echo);
    client.send(PREFACE, first);
    assert.equal(await client.goAwayCode(), ErrorCode.PROTOCOL_ERROR);
    await client.finished;
  }
});

Deno.test("ServerConnection ends with PROTOCOL_ERROR when the peer speaks something else", async () => {
  const client = new TestClient(echo);
  client.send(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"));
  assert.equal(await client.goAwayCode(), ErrorCode.PROTOCOL_ERROR);
  await client.finished;
});

Deno.test("ServerConnection ends although nobody takes its GOAWAY", async () => {
  const client = TestClient.greeted(echo);
  await client.settle();
  client.wire.dam();
  client.send(rawFrame(0x6, 0, 1, pattern(8)));
  await client.finished;
  client.wire.release();
});

Deno.test("ServerConnection names the last stream it acted on in GOAWAY", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1);
  client.request(7);
  client.send(rawFrame(0x6, 0, 1, pattern(8)));
  const { payload } = await client.expect(0x7, 0);
  assert.equal(new DataView(payload.buffer).getUint32(0), 7);
});

/** What a greeted client with an open stream 1 sends, and the code of the RST_STREAM for stream 1. */
const streamErrors: [what: string, frames: Uint8Array[], code: ErrorCode][] = [
  ["WINDOW_UPDATE by 0", [rawFrame(0x8, 0, 1, uint32(0))], ErrorCode.PROTOCOL_ERROR],
  [
    "WINDOW_UPDATE to more than 2^31-1",
    [rawFrame(0x8, 0, 1, uint32(2 ** 31 - 1))],
    ErrorCode.FLOW_CONTROL_ERROR,
  ],
  ["PRIORITY of 4 bytes", [rawFrame(0x2, 0, 1, pattern(4))], ErrorCode.FRAME_SIZE_ERROR],
  ["PRIORITY on itself", [rawFrame(0x2, 0, 1, hex("00000001 10"))], ErrorCode.PROTOCOL_ERROR],
  ["trailers that do not end the stream", [rawFrame(0x1, 4, 1, hex("0001610162"))], ErrorCode.PROTOCOL_ERROR],
  ["trailers with pseudo-header fields", [rawFrame(0x1, 5, 1, hex("82"))], ErrorCode.PROTOCOL_ERROR],
  [
    "DATA behind the end",
    [rawFrame(0x0, 1, 1), rawFrame(0x0, 0, 1, pattern(3))],
    ErrorCode.STREAM_CLOSED,
  ],
  [
    "HEADERS behind the end",
    [rawFrame(0x0, 1, 1), rawFrame(0x1, 5, 1, hex("0001610162"))],
    ErrorCode.STREAM_CLOSED,
  ],
];

for (const [what, frames, code] of streamErrors) {
  Deno.test(`ServerConnection resets a stream with ${NAMES[code]} after ${what}, and goes on`, async () => {
    await using client = TestClient.greeted(async (stream) => {
      if (stream.id === 3) return echo(stream);
      await new Promise((resolve) => stream.signal.onabort = resolve);
    });
    client.request(1);
    client.send(...frames);
    assert.equal(NAMES[await client.resetCode(1)], NAMES[code]);
    client.request(3);
    client.data(3, "good", true);
    assert.equal(new TextDecoder().decode((await client.response(3)).body), "good");
  });
}

Deno.test("ServerConnection resets a stream whose window is exceeded", async () => {
  await using client = TestClient.greeted(
    (stream) => new Promise((resolve) => stream.signal.onabort = () => resolve()),
    { streamWindow: 1_000 },
  );
  client.request(1);
  client.data(1, pattern(1_001));
  assert.equal(await client.resetCode(1), ErrorCode.FLOW_CONTROL_ERROR);
});

Deno.test("ServerConnection ends when the connection's window is exceeded", async () => {
  await using client = TestClient.greeted(
    (stream) => new Promise((resolve) => stream.signal.onabort = () => resolve()),
    { connectionWindow: 70_000 },
  );
  client.request(1);
  for (let sent = 0; sent < 5; sent++) client.data(1, pattern(16_000));
  assert.equal(await client.goAwayCode(), ErrorCode.FLOW_CONTROL_ERROR);
});

Deno.test("ServerConnection takes frames that a reset stream still sends, and fields too, to stay in step", async () => {
  await using client = TestClient.greeted((stream) => {
    if (stream.id === 1) stream.reset(ErrorCode.CANCEL);
    else return echo(stream);
  });
  client.request(1);
  assert.equal(await client.resetCode(1), ErrorCode.CANCEL);
  client.data(1, pattern(5_000));
  client.update(1, 5);
  client.send(rawFrame(0x1, 5, 1, client.hpack.encode([["x-new-in-the-table", "yes"]])));
  client.reset(1);
  const fields: HeaderField[] = [...REQUEST, ["x-new-in-the-table", "yes"]];
  client.request(3, { end: true, fields });
  assert.equal((await client.response(3)).fields[0]?.[1], "200");
});

Deno.test("ServerConnection ends with STREAM_CLOSED when a stream is used again", async () => {
  for (const frame of [rawFrame(0x0, 0, 1, pattern(1)), rawFrame(0x1, 5, 1, hex("828684"))]) {
    await using client = TestClient.greeted(echo);
    client.request(1, { end: true });
    await client.response(1);
    client.send(frame);
    assert.equal(await client.goAwayCode(), ErrorCode.STREAM_CLOSED);
  }
});

Deno.test("ServerConnection ends with PROTOCOL_ERROR when stream numbers go down", async () => {
  await using client = TestClient.greeted(echo);
  client.request(5, { end: true });
  client.request(3, { end: true });
  assert.equal(await client.goAwayCode(), ErrorCode.PROTOCOL_ERROR);
});

Deno.test("ServerConnection ignores what it may ignore", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1, { end: true });
  await client.response(1);
  client.send(
    rawFrame(0x77, 0xff, 0, pattern(100)),
    rawFrame(0x77, 0xff, 9),
    rawFrame(0x4, 0, 0, settings([0x99, 7], [3, 0])),
    rawFrame(0x4, 1, 0),
    rawFrame(0x6, 1, 0, pattern(8)),
    rawFrame(0x2, 0, 9, hex("80000007 10")),
    rawFrame(0x8, 0, 1, uint32(1)),
    rawFrame(0x3, 0, 1, uint32(0xdeadbeef)),
    rawFrame(0x8, 0, 0, uint32(0x80000001)),
  );
  client.request(11, { end: true });
  await client.response(11);
});
