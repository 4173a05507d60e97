import assert from "node:assert/strict";
import { StreamAborted } from "../../../../src/rpc/http2/errors.ts";
import type { ServerStream } from "../../../../src/rpc/http2/stream.ts";
import { concat, hex, pattern, toHex } from "./bytes.ts";
import { echo, PREFACE, rawFrame, REQUEST, settings, TestClient, uint32 } from "./test_client.ts";

Deno.test("ServerConnection answers a request with fields, body and trailers", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1);
  client.data(1, "hello, ");
  client.data(1, "world", true);
  const { fields, body, trailers } = await client.response(1);
  assert.deepEqual(fields, [[":status", "200"], ["content-type", "text/plain"]]);
  assert.equal(new TextDecoder().decode(body), "hello, world");
  assert.deepEqual(trailers, [["x-trailer", "done"]]);
});

Deno.test("ServerConnection sends SETTINGS first, with its limits, and opens the connection's window", async () => {
  await using client = new TestClient(echo);
  const first = await client.next();
  assert.deepEqual([first?.type, first?.flags, first?.streamId], [0x4, 0, 0]);
  assert.equal(toHex(first!.payload), toHex(settings([0x3, 100], [0x4, 1 << 20], [0x6, 1 << 16])));
  const second = await client.next();
  assert.deepEqual([second?.type, second?.streamId], [0x8, 0]);
  assert.equal(toHex(second!.payload), toHex(uint32(4 * 1024 * 1024 - 65_535)));
});

Deno.test("ServerConnection gives its handler the request's fields, also from several frames and padded", async () => {
  const requests: ServerStream[] = [];
  await using client = TestClient.greeted(async (stream) => {
    requests.push(stream);
    await stream.respond([[":status", "204"]]);
    await stream.end();
  });
  const block = client.hpack.encode([...REQUEST, ["grpc-timeout", "5S"]]);
  client.send(
    rawFrame(0x1, 0x8 | 0x20 | 0x1, 1, concat(hex("02 00000000 10"), block.subarray(0, 3), hex("0000"))),
    rawFrame(0x9, 0, 1, block.subarray(3, 4)),
    rawFrame(0x9, 0, 1),
    rawFrame(0x9, 0x4, 1, block.subarray(4)),
  );
  await client.response(1);
  assert.deepEqual(requests[0]?.headers, [...REQUEST, ["grpc-timeout", "5S"]]);
  assert.equal(requests[0]?.id, 1);
  assert.equal(requests[0]?.signal.aborted, false);
});

Deno.test("ServerConnection works when every byte comes by itself", async () => {
  await using client = new TestClient(echo);
  const bytes = concat(
    PREFACE,
    rawFrame(0x4, 0, 0),
    rawFrame(0x1, 0x4, 1, client.hpack.encode(REQUEST)),
    rawFrame(0x0, 0x9, 1, concat(hex("02"), pattern(50), hex("0000"))),
  );
  for (const byte of bytes) client.send(Uint8Array.of(byte));
  assert.equal(toHex((await client.response(1)).body), toHex(pattern(50)));
});

Deno.test("ServerConnection answers PING and SETTINGS ahead of a response that waits for its window", async () => {
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.write(pattern(100));
    await stream.end();
  }, { initial: settings([0x4, 0]) });
  client.request(1, { end: true });
  await client.expect(0x1, 1);
  client.send(rawFrame(0x6, 0, 0, hex("0102030405060708")), rawFrame(0x4, 0, 0));
  assert.equal(toHex((await client.expect(0x6, 0)).payload), "0102030405060708");
  assert.equal((await client.expect(0x4, 0)).flags, 0x1);
  client.update(1, 100);
  assert.equal((await client.response(1)).body.length, 100);
});

Deno.test("ServerConnection serves both directions of a stream at once", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1);
  for (const word of ["one", "two", "three"]) {
    client.data(1, word);
    assert.equal(new TextDecoder().decode((await client.expect(0x0, 1)).payload), word);
  }
  client.data(1, "", true);
  assert.deepEqual((await client.response(1)).body.length, 0);
});

Deno.test("ServerConnection aborts a stream that the peer resets, and goes on with the others", async () => {
  const aborted = Promise.withResolvers<unknown>();
  await using client = TestClient.greeted(async (stream) => {
    if (stream.id !== 1) return echo(stream);
    await stream.respond([[":status", "200"]]);
    stream.signal.onabort = () => aborted.resolve(stream.signal.reason);
    await assert.rejects(stream.read(), StreamAborted);
    await assert.rejects(stream.write(pattern(5)), StreamAborted);
    await assert.rejects(stream.end(), StreamAborted);
  });
  client.request(1);
  await client.expect(0x1, 1);
  client.reset(1, 0x8);
  const reason = await aborted.promise;
  assert.ok(reason instanceof StreamAborted);
  assert.equal(reason.code, 0x8);
  await client.settle();
  client.request(3);
  client.data(3, "still here", true);
  assert.equal(new TextDecoder().decode((await client.response(3)).body), "still here");
  assert.ok(
    !client.seen.some(({ type, streamId }) => type === 0x3 && streamId === 1),
    "RST_STREAM was answered",
  );
});

Deno.test("ServerConnection sends nothing of a stream behind its RST_STREAM", async () => {
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    const writes = [stream.write(pattern(50_000)), stream.write(pattern(500_000))];
    await stream.read();
    stream.reset(0xb);
    await Promise.allSettled(writes);
  });
  client.request(1);
  client.data(1, "now");
  assert.equal(await client.resetCode(1), 0xb);
  client.update(1, 1_000_000);
  client.update(0, 1_000_000);
  client.data(1, "sent before the reset came");
  await client.settle();
  const place = client.seen.findIndex(({ type }) => type === 0x3);
  assert.ok(!client.seen.slice(place + 1).some(({ streamId }) => streamId === 1));
});

Deno.test("ServerConnection resets a stream whose handler fails or forgets to end it", async () => {
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    if (stream.id === 1) throw new Error("a bug");
  });
  client.request(1);
  assert.equal(await client.resetCode(1), 0x2);
  client.request(3);
  assert.equal(await client.resetCode(3), 0x2);
});

Deno.test("ServerConnection asks for no more of a request whose response is whole", async () => {
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.end();
  });
  client.request(1);
  await client.response(1);
  assert.equal(await client.resetCode(1), 0x0);
  client.data(1, pattern(10_000));
  client.data(1, "", true);
  await client.settle();
});

Deno.test("ServerStream lets a handler read on behind its own end", async () => {
  const read = Promise.withResolvers<number>();
  await using client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.end();
    let length = 0;
    for (let bytes = await stream.read(); bytes; bytes = await stream.read()) length += bytes.length;
    read.resolve(length);
  });
  client.request(1);
  await client.response(1);
  client.data(1, pattern(10_000));
  client.data(1, pattern(10), true);
  assert.equal(await read.promise, 10_010);
});

Deno.test("ServerStream refuses calls in a wrong order", async () => {
  const done = Promise.withResolvers<void>();
  await using client = TestClient.greeted(async (stream) => {
    await assert.rejects(stream.write(pattern(1)), TypeError);
    await assert.rejects(stream.end(), TypeError);
    await assert.rejects(stream.respond([["grpc-message", "✓"]]), TypeError);
    await stream.respond([[":status", "200"]]);
    await assert.rejects(stream.respond([[":status", "200"]]), TypeError);
    void stream.read();
    await assert.rejects(stream.read(), TypeError);
    await stream.end();
    await assert.rejects(stream.write(pattern(1)), TypeError);
    done.resolve();
  });
  client.request(1);
  await client.response(1);
  await done.promise;
});

Deno.test("ServerConnection.run() ends with its input, and aborts what is under way", async () => {
  const ends: unknown[] = [];
  const client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.read().catch((error) => ends.push(error));
    await stream.write(pattern(10)).catch((error) => ends.push(error));
    ends.push(stream.signal.reason);
  });
  client.request(1);
  await client.expect(0x1, 1);
  client.wire.end();
  await client.finished;
  assert.equal(ends.length, 3);
  assert.ok(ends.every((reason) => reason instanceof StreamAborted));
});

Deno.test("ServerConnection.run() ends with its input also while a write is stuck", async () => {
  const client = TestClient.greeted(async (stream) => {
    await stream.respond([[":status", "200"]]);
    await stream.write(pattern(1_000)).catch(() => {});
  });
  client.request(1);
  await client.expect(0x1, 1);
  client.wire.dam();
  client.wire.end();
  await client.finished;
  client.wire.release();
});

Deno.test("ServerConnection.run() ends when the wire breaks", async () => {
  const aborted = Promise.withResolvers<void>();
  const client = TestClient.greeted(async (stream) => {
    stream.signal.onabort = () => aborted.resolve();
    await stream.respond([[":status", "200"]]);
    await stream.read();
  });
  client.request(1);
  await client.expect(0x1, 1);
  client.wire.dam();
  client.send(rawFrame(0x6, 0, 0, pattern(8)));
  client.wire.release(new Deno.errors.BrokenPipe("gone"));
  await aborted.promise;
  await client.finished;
});

Deno.test("ServerConnection.run() waits for handlers that clean up", async () => {
  let cleaned = false;
  const client = TestClient.greeted(async (stream) => {
    await stream.read().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    cleaned = true;
  });
  client.request(1);
  await client.settle();
  client.wire.end();
  await client.finished;
  assert.ok(cleaned);
});

Deno.test("ServerConnection.shutdown() finishes what is open and takes nothing new", async () => {
  const seen: number[] = [];
  const client = TestClient.greeted((stream) => {
    seen.push(stream.id);
    return echo(stream);
  });
  client.request(1);
  await client.expect(0x1, 1);
  client.connection.shutdown();
  const goAway = await client.expect(0x7, 0);
  assert.equal(toHex(goAway.payload), toHex(uint32(1, 0)));
  client.request(3);
  client.data(3, "ignored", true);
  client.reset(3);
  client.data(1, "the end", true);
  assert.equal(new TextDecoder().decode((await client.response(1)).body), "the end");
  await client.finished;
  assert.deepEqual(seen, [1]);
});

Deno.test("ServerConnection goes on after the peer's GOAWAY until its streams are done", async () => {
  await using client = TestClient.greeted(echo);
  client.request(1);
  client.send(rawFrame(0x7, 0, 0, uint32(0, 0)));
  client.data(1, "bye", true);
  assert.equal(new TextDecoder().decode((await client.response(1)).body), "bye");
});
