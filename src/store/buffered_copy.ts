import { BUFFER_BYTES, type ByteSource, TRANSFER_BYTES } from "../core/bytes.ts";

/** Buffers in use at a time: one fills, one is written, one is released, one waits. */
const BUFFERS = 4;

/** What becomes of each full buffer; both steps see the buffers in order. */
export interface BufferSteps {
  /** Writes the bytes; the next write begins only after this settled. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Takes the buffer's first `length` bytes once they are written, while the next write runs; answers it for reuse. */
  release(buffer: ArrayBuffer, length: number): Promise<ArrayBuffer>;
}

/**
 * Reads `source` to its end into large buffers and puts each through the steps, reading on meanwhile up to a
 * fixed number of buffers. Rejects with the first failure of either side, after the last write has settled; the
 * source is not cancelled.
 */
export async function copyBuffered(source: ByteSource, steps: BufferSteps): Promise<void> {
  const fresh = Array.from({ length: BUFFERS }, () => new ArrayBuffer(BUFFER_BYTES));
  const released: Promise<ArrayBuffer>[] = [];
  let written: Promise<void> = Promise.resolve();
  try {
    for (let ended = false; !ended;) {
      const filled = await fill(source, fresh.pop() ?? await (released.shift() as Promise<ArrayBuffer>));
      ended = filled.ended;
      if (filled.length === 0) continue;
      written = written.then(() => steps.write(new Uint8Array(filled.buffer, 0, filled.length)));
      const turn = written.then(() => steps.release(filled.buffer, filled.length));
      turn.catch(() => {}); // a failure is seen when the buffer is asked back, or at the end
      released.push(turn);
    }
    await Promise.all(released);
  } finally {
    await written.catch(() => {});
  }
}

async function fill(
  source: ByteSource,
  buffer: ArrayBuffer,
): Promise<{ buffer: ArrayBuffer; length: number; ended: boolean }> {
  let length = 0;
  while (length < buffer.byteLength) {
    const size = Math.min(TRANSFER_BYTES, buffer.byteLength - length);
    const chunk = await source.read(new Uint8Array(buffer, length, size));
    buffer = chunk.buffer;
    if (chunk.byteLength === 0) return { buffer, length, ended: true };
    length += chunk.byteLength;
  }
  return { buffer, length, ended: false };
}
