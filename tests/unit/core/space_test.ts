import assert from "node:assert/strict";
import { reservedSpace, usableSpace } from "../../../src/core/space.ts";

const GIB = 1024 ** 3;

Deno.test("reservedSpace() is the larger of 5 % and 2 GiB", () => {
  assert.equal(reservedSpace(10 * GIB), 2 * GIB);
  assert.equal(reservedSpace(40 * GIB), 2 * GIB);
  assert.equal(reservedSpace(1000 * GIB), 50 * GIB);
  assert.equal(reservedSpace(0), 2 * GIB);
});

Deno.test("usableSpace() leaves the reserve alone and is never negative", () => {
  assert.equal(usableSpace({ free: 60 * GIB, total: 1000 * GIB }), 10 * GIB);
  assert.equal(usableSpace({ free: 50 * GIB, total: 1000 * GIB }), 0);
  assert.equal(usableSpace({ free: 1 * GIB, total: 1 * GIB }), 0);
});
