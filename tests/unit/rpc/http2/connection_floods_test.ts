import assert from "node:assert/strict";
import { ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import type { StreamHandler } from "../../../../src/rpc/http2/connection.ts";
import { concat, hex, pattern } from "./bytes.ts";
import { echo, rawFrame, REQUEST, settings, TestClient, uint32 } from "./test_client.ts";

/** A handler that waits for the end of its stream. */
const wait: StreamHandler = (stream) => new Promise((resolve) => stream.signal.onabort = () => resolve());

/** Clocks that stand still: the limits must not depend on how fast the test runs. */
const still = { now: () => 0 };

/** What is sent 20,000 times to a server with an open stream 1. */
const floods: Record<string, (turn: number) => Uint8Array> = {
  "PING": () => rawFrame(0x6, 0, 0, pattern(8)),
  "PING acks": () => rawFrame(0x6, 1, 0, pattern(8)),
  "SETTINGS": () => rawFrame(0x4, 0, 0, settings([4, 70_000])),
  "PRIORITY": () => rawFrame(0x2, 0, 1, hex("00000003 10")),
  "WINDOW_UPDATE": () => rawFrame(0x8, 0, 1, uint32(1)),
  "empty DATA": () => rawFrame(0x0, 0, 1),
  "DATA of padding only": () => rawFrame(0x0, 8, 1, new Uint8Array([3, 0, 0, 0])),
  "unknown frames": () => rawFrame(0x77, 0, 1),
  "RST_STREAM on an ended stream": (turn) => rawFrame(0x3, 0, 1, uint32(turn)),
  "streams that are reset at once": (turn) =>
    concat(rawFrame(0x1, 5, 3 + 2 * turn, hex("828684")), rawFrame(0x3, 0, 3 + 2 * turn, uint32(8))),
  "malformed requests": (turn) => rawFrame(0x1, 5, 3 + 2 * turn, hex("82")),
  "PRIORITY that is refused": () => rawFrame(0x2, 0, 1, pattern(4)),
};

for (const [what, frame] of Object.entries(floods)) {
  Deno.test(`ServerConnection ends with ENHANCE_YOUR_CALM in a flood of ${what}`, async () => {
    await using client = TestClient.greeted(wait, still);
    client.request(1);
    for (let chunk = 0; chunk < 200; chunk++) {
      client.send(...Array.from({ length: 100 }, (_, place) => frame(chunk * 100 + place)));
    }
    assert.equal(await client.goAwayCode(), ErrorCode.ENHANCE_YOUR_CALM);
    await client.finished;
  });
}

Deno.test("ServerConnection ends with ENHANCE_YOUR_CALM when its answers are not read", async () => {
  const client = TestClient.greeted(wait, still);
  await client.settle();
  client.wire.dam();
  for (let sent = 0; sent < 3_900; sent++) client.send(rawFrame(0x6, 0, 0, pattern(8)));
  for (let turn = 0; turn < 100_000 && !client.connection.output.isFlooded; turn++) await Promise.resolve();
  client.wire.release();
  assert.equal(await client.goAwayCode(), ErrorCode.ENHANCE_YOUR_CALM);
  await client.finished;
});

Deno.test("ServerConnection bears with many PINGs and WINDOW_UPDATEs as long as data moves", async () => {
  await using client = TestClient.greeted(echo, still);
  client.request(1);
  for (let turn = 0; turn < 5_000; turn++) {
    client.data(1, "some data");
    client.send(
      rawFrame(0x6, 0, 0, pattern(8)),
      rawFrame(0x8, 0, 1, uint32(9)),
      rawFrame(0x8, 0, 0, uint32(9)),
    );
    if (turn % 100 === 99) await client.settle();
  }
  client.data(1, "", true);
  await client.expect(0x1, 1);
});

Deno.test("ServerConnection bears with keep-alive PINGs for as long as they come", async () => {
  let now = 0;
  await using client = TestClient.greeted(wait, { now: () => now });
  for (let day = 0; day < 7; day++) {
    for (let turn = 0; turn < 1_000; turn++) client.send(rawFrame(0x6, 0, 0, pattern(8)));
    await client.settle();
    now += 1_000 * 10_000;
  }
});

Deno.test("ServerConnection ends with ENHANCE_YOUR_CALM in a flood of CONTINUATION", async () => {
  for (const part of [new Uint8Array(), hex("0001610162"), new Uint8Array(16_000)]) {
    await using client = TestClient.greeted(wait, still);
    client.send(rawFrame(0x1, 0, 1, hex("828684")));
    for (let sent = 0; sent < 100; sent++) client.send(rawFrame(0x9, 0, 1, part));
    assert.equal(await client.goAwayCode(), ErrorCode.ENHANCE_YOUR_CALM);
  }
});

Deno.test("ServerConnection resets a request with too large a header list, and goes on", async () => {
  await using client = TestClient.greeted(echo, still);
  const large = client.hpack.encode([...REQUEST, ["x-large", "a".repeat(3_000)]]);
  // 30 times the same field out of the table: little on the wire, much in memory.
  client.send(rawFrame(0x1, 5, 1, concat(large, hex("be".repeat(30)))));
  assert.equal(await client.resetCode(1), ErrorCode.ENHANCE_YOUR_CALM);
  client.request(3, { end: true });
  await client.response(3);
});

Deno.test("ServerConnection refuses streams over its limit, and takes new ones when others have ended", async () => {
  const handled: number[] = [];
  await using client = TestClient.greeted((stream) => {
    handled.push(stream.id);
    return echo(stream);
  }, { maxConcurrentStreams: 3 });
  for (const id of [1, 3, 5, 7]) client.request(id);
  assert.equal(await client.resetCode(7), ErrorCode.REFUSED_STREAM);
  client.data(7, "sent before the refusal came", true);
  client.data(3, "", true);
  await client.response(3);
  client.request(9, { end: true });
  await client.response(9);
  assert.deepEqual(handled, [1, 3, 5, 9]);
});

Deno.test("ServerConnection counts handlers that are still at work on reset streams", async () => {
  let running = 0;
  let most = 0;
  const go = Promise.withResolvers<void>();
  await using client = TestClient.greeted(async () => {
    most = Math.max(most, ++running);
    await go.promise;
    running--;
  }, { maxConcurrentStreams: 10 });
  for (let id = 1; id < 200; id += 2) {
    client.request(id);
    client.reset(id);
  }
  await client.settle();
  assert.equal(most, 20);
  go.resolve();
});
