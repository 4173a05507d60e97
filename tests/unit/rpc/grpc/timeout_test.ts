import assert from "node:assert/strict";
import { Status } from "../../../../src/rpc/grpc/status.ts";
import { callSignal, parseTimeout, unlessAborted } from "../../../../src/rpc/grpc/timeout.ts";

Deno.test("parseTimeout() reads each unit into milliseconds", () => {
  const expected = {
    "1H": 3_600_000,
    "2M": 120_000,
    "3S": 3000,
    "4m": 4,
    "5000u": 5,
    "6000000n": 6,
    "0S": 0,
  };
  for (const [value, milliseconds] of Object.entries(expected)) {
    assert.ok(Math.abs(parseTimeout(value) - milliseconds) < 1e-9, value);
  }
  assert.equal(parseTimeout("99999999H"), 99_999_999 * 3_600_000);
});

Deno.test("parseTimeout() refuses what is no timeout", () => {
  for (const value of ["", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1S", "1S ", "1SS", "1e3S"]) {
    assert.throws(() => parseTimeout(value), { code: Status.INTERNAL }, value);
  }
});

Deno.test("callSignal() passes the deadline", async () => {
  using bounds = callSignal(new AbortController().signal, 5);
  await new Promise((resolve) => bounds.signal.addEventListener("abort", resolve));
  assert.equal(bounds.signal.reason.code, Status.DEADLINE_EXCEEDED);
});

Deno.test("callSignal() is cancelled with its parent, also when that was before", () => {
  const parent = new AbortController();
  using early = callSignal(parent.signal);
  assert.ok(!early.signal.aborted);
  parent.abort("gone");
  using late = callSignal(parent.signal);
  for (const { signal } of [early, late]) {
    assert.equal(signal.reason.code, Status.CANCELLED);
    assert.equal(signal.reason.cause, "gone");
  }
});

Deno.test("callSignal() takes a deadline too far for a timer for none", async () => {
  using bounds = callSignal(new AbortController().signal, parseTimeout("99999999H"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(!bounds.signal.aborted);
});

Deno.test("callSignal() leaves neither timer nor listener behind", () => {
  const parent = new AbortController();
  const bounds = callSignal(parent.signal, 3_600_000);
  bounds[Symbol.dispose](); // the test run itself fails on a timer that is left
  parent.abort();
  assert.ok(!bounds.signal.aborted);
});

Deno.test("unlessAborted() gives the promise's end, or the signal's reason when that comes first", async () => {
  const controller = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(1), controller.signal), 1);
  await assert.rejects(unlessAborted(Promise.reject(new Error("own")), controller.signal), /own/);
  const waiting = unlessAborted(new Promise(() => {}), controller.signal);
  controller.abort(new Error("over"));
  await assert.rejects(waiting, /over/);
  await assert.rejects(unlessAborted(new Promise(() => {}), controller.signal), /over/);
});
