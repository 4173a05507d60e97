import assert from "node:assert/strict";
import { MAX_WINDOW, ReceiveWindow, SendWindow } from "../../../../src/rpc/http2/flow.ts";

Deno.test("SendWindow starts at 65,535 bytes and can go below zero", () => {
  const window = new SendWindow();
  assert.equal(window.available, 65_535);
  window.take(60_000);
  // RFC 9113 section 6.9.2: from 64 KiB - 1 to 16 KiB with 60,000 bytes on the way.
  assert.equal(window.add(16_384 - 65_535), true);
  assert.equal(window.available, 16_384 - 60_000);
  assert.equal(window.add(60_000), true);
  assert.equal(window.available, 16_384);
});

Deno.test("SendWindow.add() refuses more than 2^31-1 bytes", () => {
  assert.equal(new SendWindow(1).add(MAX_WINDOW - 1), true);
  assert.equal(new SendWindow(1).add(MAX_WINDOW), false);
});

Deno.test("ReceiveWindow.take() notices the first byte too many", () => {
  const window = new ReceiveWindow(100);
  assert.equal(window.take(100), true);
  assert.equal(window.take(1), false);
});

Deno.test("ReceiveWindow.give() announces a quarter of the window at a time, and every byte in the end", () => {
  const window = new ReceiveWindow(100);
  window.take(100);
  assert.deepEqual([window.give(10), window.give(14), window.give(1)], [0, 0, 25]);
  assert.equal(window.take(25), true);
  assert.equal(window.take(1), false);
});

Deno.test("ReceiveWindow opens from what the peer knows to its size", () => {
  const window = new ReceiveWindow(400_000, 65_535);
  assert.equal(window.give(400_000 - 65_535), 400_000 - 65_535);
  assert.equal(window.take(400_000), true);
  assert.equal(window.take(1), false);
});
