import assert from "node:assert/strict";
import { HpackDecoder } from "../../../../../src/rpc/http2/hpack/decoder.ts";
import { encodeFields, NO_TABLE } from "../../../../../src/rpc/http2/hpack/encoder.ts";
import type { HeaderField } from "../../../../../src/rpc/http2/stream.ts";
import { concat, seededRandom } from "../bytes.ts";
import { HpackJsDecoder, HpackJsEncoder } from "./hpack_js.ts";

const NAMES = [":path", "grpc-timeout", "content-type", "user-agent", "x-some-longer-name", "te", "a"];

/** Header lists with much in common, as the requests of one connection have. */
function randomLists(seed: number, count: number): HeaderField[][] {
  const random = seededRandom(seed);
  const pick = (limit: number) => Math.floor(random() * limit);
  // hpack.js takes text as UTF-16 units of one or two bytes: visible ASCII means the same to both.
  const values = Array.from(
    { length: 20 },
    () => String.fromCharCode(...Array.from({ length: pick(40) }, () => 0x21 + pick(94))),
  );
  return Array.from(
    { length: count },
    () =>
      Array.from({ length: 1 + pick(12) }, () => [NAMES[pick(NAMES.length)]!, values[pick(20)]!] as const),
  );
}

for (const huffman of [true, false]) {
  Deno.test(`HpackDecoder understands hpack.js ${huffman ? "with" : "without"} Huffman coding`, () => {
    const encoder = new HpackJsEncoder();
    const decoder = new HpackDecoder();
    for (const [place, fields] of randomLists(1, 300).entries()) {
      if (place % 50 === 49) encoder.reset();
      assert.deepEqual(decoder.decode(encoder.encode(fields, { huffman })).fields, fields);
    }
  });
}

Deno.test("HpackDecoder decodes each byte that Huffman coding can carry", () => {
  for (let byte = 0; byte < 256; byte++) {
    const fields: HeaderField[] = [["x", String.fromCharCode(byte, byte, byte)]];
    const block = new HpackJsEncoder().encode(fields, { huffman: true, incremental: false });
    assert.deepEqual(new HpackDecoder().decode(block).fields, fields, `byte ${byte}`);
  }
});

Deno.test("encodeFields() is understood by hpack.js, and by HpackDecoder", () => {
  const [independent, own] = [new HpackJsDecoder(), new HpackDecoder()];
  for (const [place, fields] of randomLists(2, 300).entries()) {
    const block = concat(place === 0 ? NO_TABLE : new Uint8Array(), encodeFields(fields));
    assert.deepEqual(independent.decode(block), fields);
    assert.deepEqual(own.decode(block).fields, fields);
  }
});

Deno.test("encodeFields() refuses characters that are no bytes", () => {
  assert.throws(() => encodeFields([["grpc-message", "schön ✓"]]), TypeError);
});
