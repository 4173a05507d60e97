import assert from "node:assert/strict";
import { drain } from "../../../../src/core/bytes.ts";
import { PushedSource } from "../../../../src/runner/ssh/pushed_source.ts";

class Owner {
  isPaused = false;
  pauses = 0;
  cancels = 0;
  pause() {
    this.isPaused = true;
    this.pauses++;
  }
  resume() {
    this.isPaused = false;
  }
  cancel() {
    this.cancels++;
  }
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

async function read(source: PushedSource, size: number): Promise<number[]> {
  return [...await source.read(new Uint8Array(size))];
}

Deno.test("PushedSource hands out what was pushed, across chunks, as much as fits", async () => {
  const source = new PushedSource(new Owner());
  source.push(bytes(1, 2, 3));
  source.push(bytes());
  source.push(bytes(4, 5, 6));
  assert.deepEqual(await read(source, 2), [1, 2]);
  assert.deepEqual(await read(source, 3), [3, 4, 5]);
  source.end();
  assert.deepEqual(await read(source, 9), [6]);
  assert.deepEqual(await read(source, 9), []);
  assert.deepEqual(await read(source, 9), [], "the end stays the end");
});

Deno.test("PushedSource lets a reader wait for a push, for the end and for a failure", async () => {
  const pushed = new PushedSource(new Owner());
  const first = read(pushed, 9);
  pushed.push(bytes(7));
  assert.deepEqual(await first, [7]);
  const last = read(pushed, 9);
  pushed.end();
  assert.deepEqual(await last, []);
  const failed = new PushedSource(new Owner());
  const reading = read(failed, 9);
  failed.fail(new Error("lost"));
  await assert.rejects(reading, /lost/);
  await assert.rejects(read(failed, 9), /lost/);
});

Deno.test("PushedSource drops what it holds when it fails: a cut stream must not look whole", async () => {
  const source = new PushedSource(new Owner());
  source.push(bytes(1));
  source.fail(new Error("lost"));
  source.push(bytes(2));
  source.end();
  await assert.rejects(read(source, 9), /lost/);
});

Deno.test("PushedSource holds the pusher back while much is unread, and lets it on again", async () => {
  const owner = new Owner();
  const source = new PushedSource(owner);
  let pushed = 0;
  for (; !owner.isPaused; pushed++) {
    assert.ok(pushed < 1000, "held back in time");
    source.push(new Uint8Array(32 * 1024));
  }
  for (let taken = 0; taken < pushed; taken++) await source.read(new Uint8Array(32 * 1024));
  assert.equal(owner.isPaused, false);
  assert.equal(owner.pauses, 1);
});

Deno.test("PushedSource delivers every byte in order under back-pressure", async () => {
  const owner = new Owner();
  const source = new PushedSource(owner);
  const push = (async () => {
    for (let block = 0; block < 100;) {
      if (!owner.isPaused) source.push(new Uint8Array(20_000).fill(block++));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    source.end();
  })();
  let at = 0;
  await drain(source, (chunk) => {
    for (const byte of chunk) assert.equal(byte, Math.floor(at++ / 20_000));
  });
  await push;
  assert.equal(at, 2_000_000);
});

Deno.test("PushedSource ends what pushes when it is cancelled", async () => {
  const owner = new Owner();
  const source = new PushedSource(owner);
  source.push(bytes(1));
  await source.cancel(new Error("not wanted"));
  assert.equal(owner.cancels, 1);
  await assert.rejects(read(source, 9), /not wanted/);
});
