import assert from "node:assert/strict";
import { EXIT_MEANINGS, EXIT_STATUS, messageOf, UserError } from "../../../src/core/errors.ts";

Deno.test("UserError.sentence joins message and hint", () => {
  const error = new UserError("usage", 'Cannot use "x"', { hint: "pass another" });
  assert.equal(error.sentence, 'Cannot use "x"; pass another');
  assert.equal(new UserError("usage", "Cannot go on").sentence, "Cannot go on");
});

Deno.test("UserError keeps its cause and its kind", () => {
  const cause = new Error("below");
  const error = new UserError("unreachable", "Cannot reach it", { cause });
  assert.equal(error.cause, cause);
  assert.equal(error.kind, "unreachable");
});

Deno.test("messageOf() makes one line of anything thrown", () => {
  assert.equal(messageOf(new Error("first\n  second\r\nthird\n")), "first second third");
  assert.equal(
    messageOf(new UserError("failed", "Cannot\nwrite", { hint: "make\nroom" })),
    "Cannot write; make room",
  );
  assert.equal(messageOf(new TypeError("")), "TypeError");
  assert.equal(messageOf("a text"), "a text");
  assert.equal(messageOf(undefined), "undefined");
  assert.equal(messageOf({ toString: () => "an object" }), "an object");
});

Deno.test("EXIT_STATUS keeps what scripts rely on", () => {
  assert.deepEqual(EXIT_STATUS, {
    failed: 1,
    usage: 2,
    partial: 3,
    unreachable: 4,
    damage: 5,
    interrupted: 130,
  });
  assert.deepEqual(Object.keys(EXIT_MEANINGS).sort(), Object.keys(EXIT_STATUS).sort());
});
