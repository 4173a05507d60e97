import assert from "node:assert/strict";
import {
  announcedLength,
  bodilessFault,
  requestFault,
  trailersFault,
} from "../../../../src/rpc/http2/request.ts";
import type { HeaderField } from "../../../../src/rpc/http2/stream.ts";

const GET: HeaderField[] = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [
  ":authority",
  "node1:8006",
]];

/** GET without one field. */
function without(name: string): HeaderField[] {
  return GET.filter(([each]) => each !== name);
}

const good: Record<string, HeaderField[]> = {
  "a plain request": GET,
  "any order of its pseudo-header fields": [...GET].reverse(),
  "no authority": without(":authority"),
  "te: trailers": [...GET, ["te", "trailers"]],
  "empty values": [...GET, ["x-empty", ""]],
  "bytes beyond ASCII in values": [...GET, ["x-name", "caf\xe9"]],
  "all characters of a token": [...GET, ["a!#$%&'*+-.^_`|~09", "b"]],
  "the authority as host": [...GET, ["host", "NODE1:8006"]],
  "OPTIONS *": [[":method", "OPTIONS"], [":scheme", "http"], [":path", "*"]],
  "CONNECT": [[":method", "CONNECT"], [":authority", "node1:22"]],
  "a field twice": [...GET, ["cookie", "a=b"], ["cookie", "c=d"]],
};

for (const [what, fields] of Object.entries(good)) {
  Deno.test(`requestFault() finds nothing wrong with ${what}`, () => {
    assert.equal(requestFault(fields), undefined);
  });
}

const bad: Record<string, HeaderField[]> = {
  "no fields": [],
  "no method": without(":method"),
  "no scheme": without(":scheme"),
  "no path": without(":path"),
  "an empty path": [...without(":path"), [":path", ""]],
  "a relative path": [...without(":path"), [":path", "a/b"]],
  "GET *": [...without(":path"), [":path", "*"]],
  "an empty method": [...without(":method"), [":method", ""]],
  "a pseudo-header field twice": [...GET, [":path", "/"]],
  "an unknown pseudo-header field": [...GET, [":protocol", "websocket"]],
  "a response's pseudo-header field": [...GET, [":status", "200"]],
  "a pseudo-header field behind a regular one": [["x", "y"], ...GET],
  "an upper-case name": [...GET, ["X-Name", "y"]],
  "an empty name": [...GET, ["", "y"]],
  "a space in a name": [...GET, ["a b", "y"]],
  "a colon in a name": [...GET, ["a:b", "y"]],
  "a byte beyond ASCII in a name": [...GET, ["caf\xe9", "y"]],
  "NUL in a value": [...GET, ["x", "a\0b"]],
  "a line feed in a value": [...GET, ["x", "a\nb"]],
  "a carriage return at a value's end": [...GET, ["x", "a\r"]],
  "a line feed in the path": [...without(":path"), [":path", "/a\nb"]],
  "space before a value": [...GET, ["x", " a"]],
  "a tab behind a value": [...GET, ["x", "a\t"]],
  "connection": [...GET, ["connection", "close"]],
  "keep-alive": [...GET, ["keep-alive", "5"]],
  "proxy-connection": [...GET, ["proxy-connection", "close"]],
  "transfer-encoding": [...GET, ["transfer-encoding", "chunked"]],
  "upgrade": [...GET, ["upgrade", "h2c"]],
  "te: gzip": [...GET, ["te", "trailers, gzip"]],
  "another host than its authority": [...GET, ["host", "node2"]],
  "a content-length that is none": [...GET, ["content-length", "five"]],
  "two content-lengths": [...GET, ["content-length", "5"], ["content-length", "6"]],
  "CONNECT with a path": [[":method", "CONNECT"], [":authority", "node1:22"], [":path", "/"]],
  "CONNECT without an authority": [[":method", "CONNECT"]],
};

for (const [what, fields] of Object.entries(bad)) {
  Deno.test(`requestFault() names what is wrong with ${what}`, () => {
    assert.equal(typeof requestFault(fields), "string");
  });
}

Deno.test("trailersFault() refuses pseudo-header fields and connection-specific fields", () => {
  assert.equal(trailersFault([["x-checksum", "1234"]]), undefined);
  assert.equal(typeof trailersFault([[":path", "/"]]), "string");
  assert.equal(typeof trailersFault([["connection", "close"]]), "string");
  assert.equal(typeof trailersFault([["X", "y"]]), "string");
});

Deno.test("bodilessFault() refuses a content-length above 0", () => {
  assert.equal(bodilessFault(GET), undefined);
  assert.equal(bodilessFault([...GET, ["content-length", "0"]]), undefined);
  assert.equal(typeof bodilessFault([...GET, ["content-length", "1"]]), "string");
});

Deno.test("announcedLength() is exact, silent or NaN", () => {
  const length = (...values: string[]) => announcedLength(values.map((value) => ["content-length", value]));
  assert.equal(length(), undefined);
  assert.equal(length("0"), 0);
  assert.equal(length("12", "12"), 12);
  for (const wrong of [["12", "13"], ["-1"], ["1.5"], [""], ["0x10"], ["9".repeat(30)]]) {
    assert.ok(Number.isNaN(length(...wrong)), wrong.join());
  }
});
