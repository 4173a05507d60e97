import assert from "node:assert/strict";
import { encodeMessage, GrpcError, Status, statusFields } from "../../../../src/rpc/grpc/status.ts";

/** What a field's value may hold: printable ASCII, and no space at either end. */
const FIELD_VALUE = /^(?! )[\x20-\x7e]*(?<! )$/;

Deno.test("encodeMessage() leaves printable ASCII but the percent sign as it is", () => {
  assert.equal(encodeMessage("Cannot dump VM 101: 95% full"), "Cannot dump VM 101: 95%25 full");
  assert.equal(encodeMessage("a~!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}"), "a~!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}");
});

Deno.test("encodeMessage() codes controls and everything that is not ASCII as UTF-8", () => {
  assert.equal(encodeMessage("a\tb\r\nc\0d\x7fe"), "a%09b%0D%0Ac%00d%7Fe");
  assert.equal(encodeMessage("für 2 €"), "f%C3%BCr 2 %E2%82%AC");
  assert.equal(encodeMessage("😀"), "%F0%9F%98%80");
});

Deno.test("encodeMessage() codes spaces at the ends, which a field must not have", () => {
  assert.equal(encodeMessage("  two  "), "%20 two %20");
  assert.equal(encodeMessage(" "), "%20");
});

Deno.test("encodeMessage() turns half a character into the replacement character", () => {
  assert.equal(decodeURIComponent(encodeMessage("a\ud800b")), "a\ufffdb");
  assert.equal(decodeURIComponent(encodeMessage("\udc00")), "\ufffd");
});

Deno.test("encodeMessage() can be decoded to the same text, whatever it holds", () => {
  for (let code = 0; code < 0x3000; code += 7) {
    const text = String.fromCodePoint(code, code + 1, 0x20, code + 2, 0x25, 0x1f600 + (code % 64), code + 3);
    const coded = encodeMessage(text);
    assert.equal(decodeURIComponent(coded), text);
    assert.match(coded, FIELD_VALUE);
  }
});

Deno.test("encodeMessage() cuts a long message between two characters", () => {
  for (const unit of ["x", "ü", "€", "😀", "%", " ", "a€"]) {
    for (let limit = 30; limit < 50; limit++) {
      const coded = encodeMessage(unit.repeat(100), limit);
      assert.ok(coded.length <= limit && coded.length > limit - 24, `${unit} ${limit}: ${coded}`);
      assert.match(coded, FIELD_VALUE);
      const text = decodeURIComponent(coded);
      assert.ok(text.endsWith("…") && unit.repeat(100).startsWith(text.slice(0, -1)), text);
    }
  }
});

Deno.test("encodeMessage() keeps a message that just fits", () => {
  assert.equal(encodeMessage("x".repeat(6144)), "x".repeat(6144));
  assert.equal(encodeMessage("x".repeat(6145)).length, 6144);
});

Deno.test("statusFields() gives the number of every code, and a message only when there is one", () => {
  assert.deepEqual(statusFields(), [["grpc-status", "0"]]);
  const codes = Object.values(Status).filter((code) => code !== Status.OK);
  assert.deepEqual(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
  for (const code of codes) {
    const expected = [["grpc-status", String(code)], ["grpc-message", "100%25"]];
    assert.deepEqual(statusFields(new GrpcError(code, "100%")), expected);
  }
  assert.deepEqual(statusFields(new GrpcError(Status.ABORTED, "")), [["grpc-status", "10"]]);
});
