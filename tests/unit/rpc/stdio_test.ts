import assert from "node:assert/strict";
import { stdioWire } from "../../../src/rpc/stdio.ts";
import { pattern } from "./http2/bytes.ts";

/** An output that takes a few bytes at a time and is full in between, as a non-blocking pipe. */
function narrowPipe(most: number) {
  const taken: number[] = [];
  let calls = 0;
  return {
    taken,
    write(bytes: Uint8Array): Promise<number> {
      if (calls++ % 3 === 1) return Promise.reject(new Deno.errors.WouldBlock("EAGAIN"));
      const part = bytes.subarray(0, most);
      taken.push(...part);
      return Promise.resolve(part.length);
    },
  };
}

const noInput = { read: () => Promise.resolve(null) };

Deno.test("stdioWire() writes every byte once to a pipe that takes a part and is full at times", async () => {
  const stdout = narrowPipe(100);
  await stdioWire(noInput, stdout).write(pattern(2_000));
  assert.deepEqual(Uint8Array.from(stdout.taken), pattern(2_000));
});

Deno.test("stdioWire() passes a broken pipe on", async () => {
  const stdout = { write: () => Promise.reject(new Deno.errors.BrokenPipe("EPIPE")) };
  await assert.rejects(stdioWire(noInput, stdout).write(pattern(10)), Deno.errors.BrokenPipe);
});

Deno.test("stdioWire() reads into the view it is given, waits on an empty pipe, and tells the end", async () => {
  const answers = [() => Promise.reject(new Deno.errors.WouldBlock("EAGAIN")), () => Promise.resolve(3)];
  const stdin = { read: () => answers.shift()?.() ?? Promise.resolve(null) };
  const wire = stdioWire(stdin, narrowPipe(1));
  const view = pattern(10);
  const read = await wire.read(view);
  assert.equal(read?.buffer, view.buffer);
  assert.deepEqual(read, view.subarray(0, 3));
  assert.equal(await wire.read(view), null);
});
