import assert from "node:assert/strict";
import { FramedBuffer } from "../../../../src/rpc/http2/framed_buffer.ts";
import type { StreamHandler } from "../../../../src/rpc/http2/connection.ts";
import type { ServerStream } from "../../../../src/rpc/http2/stream.ts";
import { pattern, toHex } from "./bytes.ts";
import { rawFrame, settings, TestClient } from "./test_client.ts";

const INITIAL_WINDOW = 0x4;

/** A handler that sends `length` bytes in writes of `step`. */
function sender(length: number, step = length): StreamHandler {
  return async (stream) => {
    await stream.respond([[":status", "200"]]);
    for (let sent = 0; sent < length; sent += step) {
      await stream.write(pattern(Math.min(step, length - sent), sent));
    }
    await stream.end();
  };
}

/** A handler that sends `length` bytes from one framed buffer, filled again and again. */
function framedSender(length: number, size: number, prefix = 0): StreamHandler {
  return async (stream) => {
    await stream.respond([[":status", "200"]]);
    const buffer = new FramedBuffer(size, { prefix });
    for (let sent = 0; sent < length; buffer.clear()) {
      while (!buffer.isFull && sent < length) {
        const region = buffer.next().subarray(0, length - sent);
        region.set(pattern(region.length, sent));
        buffer.filled(region.length);
        sent += region.length;
      }
      buffer.prefix.fill(0xaa);
      await stream.writeFramed(buffer);
    }
    await stream.end();
  };
}

/** Gives the stream `step` bytes of room whenever it has used the last; answers the body. */
async function bodyInSteps(client: TestClient, streamId: number, step: number): Promise<Uint8Array> {
  const body: number[] = [];
  let room = 0;
  for (;;) {
    if (room === 0) {
      client.update(streamId, step);
      client.update(0, step);
      room += step;
    }
    const frame = await client.next();
    assert.ok(frame, "The server ended");
    if (frame.streamId !== streamId || frame.type !== 0x0) continue;
    room -= frame.payload.length;
    assert.ok(room >= 0, "The window was exceeded");
    body.push(...frame.payload);
    if (frame.flags & 0x1) return Uint8Array.from(body);
  }
}

for (const step of [1, 100, 20_000]) {
  const length = Math.min(60_000, step * 50);
  const senders = { copied: sender(length, 7_000), framed: framedSender(length, 40_000) };
  for (const [what, handler] of Object.entries(senders)) {
    Deno.test(`ServerConnection sends ${what} data through windows of ${step} bytes`, async () => {
      await using client = TestClient.greeted(handler, { initial: settings([INITIAL_WINDOW, 0]) });
      client.request(1, { end: true });
      assert.equal(toHex(await bodyInSteps(client, 1, step)), toHex(pattern(length)));
    });
  }
}

Deno.test("ServerConnection keeps to the connection's window, on all streams together", async () => {
  await using client = TestClient.greeted(sender(60_000), { initial: settings([INITIAL_WINDOW, 1_000_000]) });
  client.request(1, { end: true });
  client.request(3, { end: true });
  await client.settle();
  await client.settle();
  const bytes = () =>
    client.seen.filter(({ type }) => type === 0x0).reduce((sum, { payload }) => sum + payload.length, 0);
  assert.equal(bytes(), 65_535);
  client.update(0, 100_000);
  await client.response(1);
  await client.settle();
  assert.equal(bytes(), 120_000);
});

for (
  const [what, handler] of Object.entries({
    copied: sender(150_000),
    framed: framedSender(150_000, 80_000, 10),
  })
) {
  Deno.test(`ServerConnection holds ${what} data when SETTINGS shrink a window below zero`, async () => {
    await using client = TestClient.greeted(handler, { initial: settings([INITIAL_WINDOW, 50_000]) });
    client.request(1, { end: true });
    client.update(0, 1_000_000);
    const sent = () =>
      client.seen.filter(({ type }) => type === 0x0).reduce((sum, { payload }) => sum + payload.length, 0);
    await client.settle();
    await client.settle();
    assert.equal(sent(), 50_000);
    client.send(rawFrame(0x4, 0, 0, settings([INITIAL_WINDOW, 10_000])));
    client.update(1, 40_000); // from -40,000 to 0
    await client.settle();
    await client.settle();
    assert.equal(sent(), 50_000);
    client.update(1, 7);
    await client.settle();
    await client.settle();
    assert.equal(sent(), 50_007);
    client.send(rawFrame(0x4, 0, 0, settings([INITIAL_WINDOW, 500_000])));
    await client.response(1);
    assert.equal(sent(), what === "copied" ? 150_000 : 150_020);
  });
}

Deno.test("ServerConnection sends a framed buffer of a megabyte in one write, prefix first", async () => {
  await using client = TestClient.greeted(framedSender(900_000, 1 << 20, 10), {
    initial: settings([INITIAL_WINDOW, 5_000_000]),
  });
  client.update(0, 5_000_000);
  client.request(1, { end: true });
  const { body } = await client.response(1);
  assert.equal(toHex(body.subarray(0, 10)), "aa".repeat(10));
  assert.equal(toHex(body.subarray(10)), toHex(pattern(900_000)));
  assert.ok(client.wire.largestWrite > 900_000, `${client.wire.largestWrite} bytes were written at once`);
});

/** The streams in the order of their DATA frames, when all may send at once; `handler` by stream. */
async function orderOf(handlers: Record<number, StreamHandler>): Promise<number[]> {
  await using client = TestClient.greeted((stream) => handlers[stream.id]!(stream), {
    initial: settings([INITIAL_WINDOW, 50_000_000]),
  });
  const ids = Object.keys(handlers).map(Number);
  for (const id of ids) client.request(id, { end: true });
  await client.settle();
  client.update(0, 50_000_000);
  for (let ended = 0; ended < ids.length;) {
    const frame = await client.next();
    if (frame?.type === 0x0 && frame.flags & 0x1) ended++;
  }
  return client.seen.filter(({ type, payload }) => type === 0x0 && payload.length > 0).map(({ streamId }) =>
    streamId
  );
}

Deno.test("ServerConnection lets streams send in turn, frame by frame", async () => {
  const order = await orderOf({ 1: sender(400_000), 3: sender(400_000), 5: sender(400_000) });
  for (const id of [1, 3, 5]) {
    const frames = order.slice(0, 45).filter((each) => each === id).length;
    assert.ok(frames >= 13 && frames <= 17, `stream ${id} sent ${frames} of the first 45 frames`);
  }
});

Deno.test("ServerConnection lets framed buffers go in turn, a megabyte each", async () => {
  const order = await orderOf({ 1: framedSender(3_000_000, 3 << 20), 3: framedSender(3_000_000, 3 << 20) });
  assert.ok(order.indexOf(3) < 80, "stream 3 had to wait for more than a megabyte");
  assert.ok(order.indexOf(1, order.indexOf(3)) > 0, "stream 3 was not interrupted");
});

Deno.test("ServerConnection does not let a framed buffer hold up small streams", async () => {
  const order = await orderOf({ 1: framedSender(5_000_000, 3 << 20), 3: sender(200_000) });
  assert.ok(order.lastIndexOf(3) < order.length / 2);
});

Deno.test("ServerConnection leaves a framed buffer alone only when the wire has it, also after a reset", async () => {
  let rejected = false;
  const buffer = new FramedBuffer(100_000);
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    while (!buffer.isFull) buffer.filled(buffer.next().fill(0x55).length);
    client.wire.dam();
    await stream.writeFramed(buffer).catch(() => rejected = true);
    // Whoever got the buffer back fills it again: on the wire that would be nonsense.
    new Uint8Array(buffer.prefix.buffer).fill(0xff);
  }, { initial: settings([INITIAL_WINDOW, 60_000]) });
  client.request(1, { end: true });
  await client.expect(0x1, 1);
  client.reset(1);
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
  assert.equal(rejected, false);
  client.wire.release();
  await client.settle();
  assert.equal(rejected, true);
  const data = client.seen.filter(({ type }) => type === 0x0);
  assert.equal(data.reduce((sum, { payload }) => sum + payload.length, 0), 60_000);
  assert.ok(data.every(({ payload }) => payload.every((byte) => byte === 0x55)));
});

/** A handler that reads only when told to. */
function reader(): { handler: StreamHandler; stream: Promise<ServerStream> } {
  const opened = Promise.withResolvers<ServerStream>();
  const handler: StreamHandler = async (stream) => {
    await stream.respond([[":status", "200"]]);
    opened.resolve(stream);
    await new Promise((resolve) => stream.signal.onabort = resolve);
  };
  return { handler, stream: opened.promise };
}

function updates(client: TestClient, streamId: number): number {
  return client.seen.filter((frame) => frame.type === 0x8 && frame.streamId === streamId)
    .reduce((sum, { payload }) => sum + new DataView(payload.buffer).getUint32(0), 0);
}

Deno.test("ServerConnection gives windows back only as the reader takes the bytes", async () => {
  const { handler, stream } = reader();
  await using client = TestClient.greeted(handler, { streamWindow: 100_000, connectionWindow: 200_000 });
  client.request(1);
  for (let sent = 0; sent < 100_000; sent += 10_000) client.data(1, pattern(10_000, sent));
  await client.settle();
  assert.equal(updates(client, 1), 0);
  const opened = updates(client, 0);
  const request = await stream;
  let read = 0;
  while (read < 60_000) read += (await request.read())!.length;
  await client.settle();
  const given = updates(client, 1);
  assert.ok(given > 0 && given <= 60_000, `${given} bytes of room were given back`);
  while (read < 100_000) read += (await request.read())!.length;
  void request.read();
  await client.settle();
  assert.ok(updates(client, 1) >= 75_000, "nothing is left but less than a quarter");
  assert.ok(updates(client, 0) - opened >= 50_000);
  assert.ok(updates(client, 0) - opened <= 100_000);
});

Deno.test("ServerConnection gives the connection's window back for what nobody reads", async () => {
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.end();
  }, { connectionWindow: 100_000 });
  await client.settle();
  const opened = updates(client, 0);
  for (let id = 1; id < 41; id += 2) {
    client.request(id);
    client.data(id, pattern(16_000), id % 4 === 1);
    await client.settle();
  }
  // More than the window in all: without giving back, it would have been exceeded.
  assert.ok(updates(client, 0) - opened > 200_000);
  assert.ok(!client.seen.some(({ type }) => type === 0x7));
});

Deno.test("ServerConnection counts padding, and gives it back at once", async () => {
  const { handler } = reader();
  await using client = TestClient.greeted(handler, { streamWindow: 1_000, connectionWindow: 100_000 });
  client.request(1);
  const padded = new Uint8Array(201);
  padded[0] = 200;
  for (let sent = 0; sent < 10; sent++) {
    client.send(rawFrame(0x0, 0x8, 1, padded));
    await client.settle();
  }
  assert.ok(updates(client, 1) >= 1_000);
});

Deno.test("ServerConnection keeps DATA as it is until it is read, whatever comes later", async () => {
  const { handler, stream } = reader();
  await using client = TestClient.greeted(handler);
  client.request(1);
  const total = 900_000;
  let size = 1;
  for (let sent = 0; sent < total; size = size % 15_000 + 997) {
    const length = Math.min(size, total - sent);
    client.data(1, pattern(length, sent));
    sent += length;
    if (size % 3 === 0) await client.settle();
  }
  const request = await stream;
  let at = 0;
  while (at < total) {
    const bytes = (await request.read())!;
    await client.settle();
    assert.equal(toHex(bytes), toHex(pattern(bytes.length, at)), `at ${at}`);
    at += bytes.length;
  }
});
