import assert from "node:assert/strict";
import { ServerConnection } from "../../../../src/rpc/http2/connection.ts";
import { concat, hex, pattern, seededRandom } from "./bytes.ts";
import { HpackJsEncoder } from "./hpack/hpack_js.ts";
import { MemoryWire } from "./memory_wire.ts";
import { echo, PREFACE, rawFrame, REQUEST, settings, uint32 } from "./test_client.ts";

/** A session with all that a client may say. */
function session(): Uint8Array {
  const hpack = new HpackJsEncoder();
  const block = hpack.encode(REQUEST);
  return concat(
    PREFACE,
    rawFrame(0x4, 0, 0, settings([1, 0], [3, 10], [4, 100_000])),
    rawFrame(0x4, 1, 0),
    rawFrame(0x1, 0x4, 1, block),
    rawFrame(0x0, 0, 1, pattern(300)),
    rawFrame(0x0, 8, 1, concat(hex("05"), pattern(60), new Uint8Array(5))),
    rawFrame(0x1, 0x20, 3, concat(hex("00000000ff"), hpack.encode(REQUEST))),
    rawFrame(0x9, 0x4, 3, hpack.encode([["x-more", "fields"]])),
    rawFrame(0x8, 0, 0, uint32(1_000)),
    rawFrame(0x6, 0, 0, pattern(8)),
    rawFrame(0x1, 0x5, 1, hpack.encode([["x-trailer", "yes"]])),
    rawFrame(0x2, 0, 3, hex("0000000110")),
    rawFrame(0x0, 0x1, 3, pattern(700)),
    rawFrame(0x1, 0x5, 5, hpack.encode(REQUEST)),
    rawFrame(0x3, 0, 5, uint32(8)),
    rawFrame(0x7, 0, 0, uint32(0, 0)),
  );
}

/** Serves these bytes and what `chunk` cuts of them; fails when the connection does not end. */
async function serve(bytes: Uint8Array, chunk: number): Promise<Uint8Array> {
  const wire = new MemoryWire();
  const finished = new ServerConnection(wire, echo).run();
  for (let at = 0; at < bytes.length; at += chunk) wire.send(bytes.subarray(at, at + chunk));
  wire.end();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => timer = setTimeout(resolve, 5_000, "late"));
  const result = await Promise.race([finished, late]);
  clearTimeout(timer);
  assert.notEqual(result, "late", "The connection did not end");
  return wire.takeOutput();
}

Deno.test("ServerConnection ends properly wherever its input is cut", async () => {
  const bytes = session();
  for (let cut = 0; cut <= bytes.length; cut++) await serve(bytes.subarray(0, cut), 1 << 20);
});

Deno.test("ServerConnection ends properly on a damaged session", async () => {
  const bytes = session();
  const random = seededRandom(9113);
  const until = performance.now() + 20_000;
  let goAways = 0;
  for (let round = 0; round < 1_500 && performance.now() < until; round++) {
    const damaged = bytes.slice();
    const first = random() < 0.9 ? PREFACE.length : 0;
    for (let hits = 1 + Math.floor(random() * 4); hits > 0; hits--) {
      damaged[first + Math.floor(random() * (damaged.length - first))] = Math.floor(random() * 256);
    }
    const output = await serve(damaged, 1 + Math.floor(random() * 500));
    if (lastType(output) === 0x7) goAways++;
  }
  assert.ok(goAways > 20, `${goAways} connections ended with GOAWAY`);
});

Deno.test("ServerConnection ends properly on frames of random content", async () => {
  const random = seededRandom(7540);
  const until = performance.now() + 20_000;
  const pick = (limit: number) => Math.floor(random() * limit);
  for (let round = 0; round < 500 && performance.now() < until; round++) {
    const frames = Array.from({ length: 30 }, () => {
      const payload = Uint8Array.from({ length: pick(30) }, () => pick(256));
      return rawFrame(pick(11), pick(4) ? pick(0x30) & 0x2d : pick(256), pick(3) ? pick(8) : 0, payload);
    });
    await serve(concat(PREFACE, rawFrame(0x4, 0, 0), ...frames), 1 << 20);
  }
});

/** The type of the last frame; fails when the bytes do not end where a frame does. */
function lastType(bytes: Uint8Array): number {
  let type = -1;
  let at = 0;
  while (at < bytes.length) {
    type = bytes[at + 3]!;
    at += 9 + (bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!);
  }
  assert.equal(at, bytes.length, "The server's output ends in the middle of a frame");
  return type;
}
