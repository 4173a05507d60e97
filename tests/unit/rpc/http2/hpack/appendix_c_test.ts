import assert from "node:assert/strict";
import { HpackDecoder } from "../../../../../src/rpc/http2/hpack/decoder.ts";
import { readInteger, writeInteger } from "../../../../../src/rpc/http2/hpack/primitives.ts";
import { encodeFields } from "../../../../../src/rpc/http2/hpack/encoder.ts";
import type { HeaderField } from "../../../../../src/rpc/http2/stream.ts";
import { hex, toHex } from "../bytes.ts";

type Example = [wire: string, fields: HeaderField[]];

/** Decodes the blocks one after the other, on one connection. */
function decodeAll(examples: readonly Example[], maxTableSize?: number): void {
  const decoder = new HpackDecoder(maxTableSize === undefined ? {} : { maxTableSize });
  for (const [wire, fields] of examples) {
    assert.deepEqual(decoder.decode(hex(wire)), { fields, oversized: false }, wire);
  }
}

const FIRST: HeaderField[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const REQUESTS: HeaderField[][] = [
  FIRST,
  [...FIRST, ["cache-control", "no-cache"]],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];

function response(status: string, second: string): HeaderField[] {
  return [
    [":status", status],
    ["cache-control", "private"],
    ["date", `Mon, 21 Oct 2013 20:13:${second} GMT`],
    ["location", "https://www.example.com"],
  ];
}

const RESPONSES: HeaderField[][] = [
  response("302", "21"),
  response("307", "21"),
  [
    ...response("200", "22"),
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

function withFields(wires: string[], fields: HeaderField[][]): Example[] {
  return wires.map((wire, place) => [wire, fields[place]!]);
}

Deno.test("readInteger() and writeInteger() agree with RFC 7541 C.1", () => {
  for (
    const [bytes, prefixBits, value] of [["0a", 5, 10], ["1f9a0a", 5, 1337], ["2a", 8, 42]] as const
  ) {
    assert.equal(readInteger({ bytes: hex(bytes), at: 0 }, prefixBits), value);
    const written: number[] = [];
    writeInteger(written, 0, prefixBits, value);
    assert.equal(toHex(Uint8Array.from(written)), bytes);
  }
});

Deno.test("HpackDecoder decodes the field representations of RFC 7541 C.2", () => {
  decodeAll([["400a637573746f6d2d6b65790d637573746f6d2d686561646572", [["custom-key", "custom-header"]]]]);
  decodeAll([["040c2f73616d706c652f70617468", [[":path", "/sample/path"]]]]);
  decodeAll([["100870617373776f726406736563726574", [["password", "secret"]]]]);
  decodeAll([["82", [[":method", "GET"]]]]);
});

Deno.test("encodeFields() writes the representations of RFC 7541 C.2 that need no table", () => {
  assert.equal(toHex(encodeFields([[":path", "/sample/path"]])), "040c2f73616d706c652f70617468");
  assert.equal(toHex(encodeFields([[":method", "GET"]])), "82");
});

Deno.test("HpackDecoder decodes the requests of RFC 7541 C.3, without Huffman coding", () => {
  decodeAll(withFields([
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
  ], REQUESTS));
});

Deno.test("HpackDecoder decodes the requests of RFC 7541 C.4, with Huffman coding", () => {
  decodeAll(withFields([
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  ], REQUESTS));
});

Deno.test("HpackDecoder decodes the responses of RFC 7541 C.5, whose table of 256 bytes evicts", () => {
  decodeAll(
    withFields([
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768" +
      "747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153" +
      "444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e" +
      "3d31",
    ], RESPONSES),
    256,
  );
});

Deno.test("HpackDecoder decodes the responses of RFC 7541 C.6, with Huffman coding", () => {
  decodeAll(
    withFields([
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8" +
      "e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b" +
      "3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ], RESPONSES),
    256,
  );
});
