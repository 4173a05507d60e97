import assert from "node:assert/strict";
import { expandSparse, readPax } from "../../../src/archive/pax.ts";
import { Position } from "../../../src/archive/stream_walk.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string) => readPax(new Position("Archive"), 1000, bytes(text));

Deno.test("readPax() reads path and size and passes over everything else", () => {
  assert.deepEqual(read("14 path=./a=b\n20 size=10737418240\n18 SCHILY.xattr=\0\n"), {
    name: "./a=b",
    size: 10737418240,
  });
  assert.deepEqual(read(""), {});
  assert.deepEqual(read("12 path=abc\n\0\0\0"), { name: "abc" });
});

Deno.test("readPax() takes the real name of a sparse member, wherever it stands", () => {
  const records = ["22 GNU.sparse.major=1\n", "27 GNU.sparse.name=./a/b/c\n", "20 path=./GNUSparse\n"];
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const text = order.map((index) => records[index]).join("");
    assert.deepEqual(read(text), { name: "./a/b/c", isSparse: true });
  }
});

for (
  const text of [
    "x",
    "12path=abc\n",
    "13 path=abc\n",
    "11 path=abc\n",
    "012 path=ab\n",
    "8 pathab\n",
    "99 path=abc\n",
    "12 path=abcX",
    "4 =\n9 x\n",
    "12 size=-12\n",
  ]
) {
  Deno.test(`readPax() refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => read(text), /^ArchiveDamage: Archive is damaged at byte 1\d{3}: /);
  });
}

function sparse(map: string, data: string): Uint8Array {
  const stored = new Uint8Array(Math.ceil(map.length / 512) * 512 + data.length);
  stored.set(bytes(map));
  stored.set(bytes(data), stored.length - data.length);
  return stored;
}

Deno.test("expandSparse() puts the pieces where the map says", () => {
  const content = expandSparse(sparse("3\n0\n2\n5\n3\n10\n0\n", "abxyz"), 100);
  assert.deepEqual(content && new TextDecoder().decode(content), "ab\0\0\0xyz\0\0");
});

Deno.test("expandSparse() refuses a wrong map and one above the limit", () => {
  for (const map of ["", "x\n", "1\n0\n", "1\n0\n6\n", "1\n0\n4\n", "99999999999999\n0\n5\n", "2\n0\n5\n"]) {
    assert.equal(expandSparse(sparse(map, "abcde"), 100), undefined, JSON.stringify(map));
  }
  assert.equal(expandSparse(sparse("1\n96\n5\n", "abcde"), 100), undefined);
});
