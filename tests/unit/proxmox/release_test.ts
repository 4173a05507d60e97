import assert from "node:assert/strict";
import { isAtLeast, parseRelease } from "../../../src/proxmox/release.ts";

Deno.test("parseRelease() reads the versions of all releases", () => {
  assert.deepEqual(parseRelease("8.4.1"), { major: 8, minor: 4, text: "8.4.1" });
  assert.deepEqual(parseRelease("7.4-3"), { major: 7, minor: 4, text: "7.4-3" });
  assert.deepEqual(parseRelease("9.0.0~11"), { major: 9, minor: 0, text: "9.0.0~11" });
  assert.deepEqual(parseRelease("10.12"), { major: 10, minor: 12, text: "10.12" });
});

Deno.test("parseRelease() takes what is no version for the oldest release", () => {
  for (const text of ["", "unknown", "v8.4", "8"]) {
    assert.deepEqual(parseRelease(text), { major: 7, minor: 0, text });
  }
});

Deno.test("isAtLeast() compares numbers, not texts", () => {
  assert.ok(isAtLeast(parseRelease("8.1"), 8, 1));
  assert.ok(isAtLeast(parseRelease("8.10"), 8, 2));
  assert.ok(isAtLeast(parseRelease("10.0"), 9, 5));
  assert.ok(!isAtLeast(parseRelease("8.0.9"), 8, 1));
  assert.ok(!isAtLeast(parseRelease("7.4"), 8, 0));
});
