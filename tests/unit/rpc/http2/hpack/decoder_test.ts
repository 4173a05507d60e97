import assert from "node:assert/strict";
import { HpackDecoder } from "../../../../../src/rpc/http2/hpack/decoder.ts";
import { HpackError } from "../../../../../src/rpc/http2/hpack/primitives.ts";
import { concat, hex, seededRandom } from "../bytes.ts";

/** A literal that goes into the table, of 32 + 1 + `valueLength` bytes there. */
function indexedLiteral(name: string, valueLength: number): Uint8Array {
  return concat(
    hex("4001"),
    new TextEncoder().encode(name),
    hex("7f"),
    lengthBehind7(valueLength),
    letters(valueLength),
  );
}

/** The rest of a length of at least 127 behind its full first byte. */
function lengthBehind7(length: number): Uint8Array {
  const rest = length - 127;
  return Uint8Array.of(rest % 128 + 128, rest >> 7);
}

function letters(length: number): Uint8Array {
  return new Uint8Array(length).fill(0x61);
}

const refused: Record<string, string> = {
  "an index of 0": "80",
  "an index in no table": "be",
  "a name's index in no table": "7e0161",
  "an endless integer": "ffffffffffffffffffff01",
  "an integer that never gets larger": "ff8080808080808080808080808080808000",
  "an integer that ends midway": "ff80",
  "a string longer than the block": "400a6162",
  "a field without its value": "400161",
  "a table size over the limit": "3fe21f",
  "a table size update behind a field": "8220",
  "a Huffman string padded with more than 7 bits": "00821fff0161",
  "a Huffman string padded with zeros": "0081180161",
  "a Huffman string with its end mark": "0084ffffffff0161",
};

for (const [what, wire] of Object.entries(refused)) {
  Deno.test(`HpackDecoder refuses ${what}`, () => {
    assert.throws(() => new HpackDecoder().decode(hex(wire)), HpackError);
  });
}

Deno.test("HpackDecoder takes a Huffman string padded with the first bits of the end mark", () => {
  assert.deepEqual(new HpackDecoder().decode(hex("00811f0161")).fields, [["a", "a"]]);
});

Deno.test("HpackDecoder follows several table size updates at the start of a block", () => {
  const decoder = new HpackDecoder();
  decoder.decode(hex("4001610162")); // a: b goes into the table
  assert.deepEqual(decoder.decode(hex("be")).fields, [["a", "b"]]);
  // To 0, which empties the table, and back to 4096.
  assert.throws(() => decoder.decode(hex("203fe11fbe")), HpackError);
});

Deno.test("HpackDecoder keeps nothing of a field that is larger than the table, and empties the table", () => {
  const decoder = new HpackDecoder({ maxTableSize: 200 });
  decoder.decode(hex("4001610162"));
  assert.equal(decoder.decode(indexedLiteral("b", 180)).fields.length, 1);
  assert.throws(() => decoder.decode(hex("be")), HpackError);
});

Deno.test("HpackDecoder stays in step when a header list is over the limit", () => {
  const decoder = new HpackDecoder({ maxListSize: 300 });
  assert.equal(decoder.decode(concat(indexedLiteral("a", 200), indexedLiteral("b", 200))).oversized, true);
  const { fields, oversized } = decoder.decode(hex("be"));
  assert.equal(oversized, false);
  assert.deepEqual(fields, [["b", "a".repeat(200)]]);
});

Deno.test("HpackDecoder holds no more than the limit of a block whose every byte is a large field", () => {
  const decoder = new HpackDecoder({ maxListSize: 64 * 1024 });
  decoder.decode(indexedLiteral("a", 4000));
  const { fields, oversized } = decoder.decode(new Uint8Array(60_000).fill(0xbe));
  assert.equal(oversized, true);
  assert.ok(fields.length <= 17, `${fields.length} fields are held`);
});

Deno.test("HpackDecoder keeps each byte of a value, as one character", () => {
  const { fields } = new HpackDecoder().decode(hex("0001610480ff9f00"));
  assert.deepEqual(fields, [["a", "\x80\xff\x9f\x00"]]);
});

Deno.test("HpackDecoder fails properly or decodes whatever bytes it gets", () => {
  const random = seededRandom(7541);
  for (let round = 0; round < 3_000; round++) {
    const block = Uint8Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256));
    try {
      new HpackDecoder().decode(block);
    } catch (error) {
      assert.ok(error instanceof HpackError, String(error));
    }
  }
});
