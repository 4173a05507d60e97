import { BUFFER_BYTES, type ByteSource, TRANSFER_BYTES } from "../core/bytes.ts";

/** Buffers in use at a time: one fills, the others are on their way through `use`. */
const BUFFERS = 4;

/**
 * Reads `source` to its end into large buffers and hands each to `use`, in order, without waiting for it: `use`
 * answers the buffer when it may be filled again. Rejects with the first failure of either side, after every
 * buffer has come back; the source is not cancelled.
 */
export async function copyBuffered(
  source: ByteSource,
  use: (buffer: ArrayBuffer, length: number) => Promise<ArrayBuffer>,
): Promise<void> {
  const fresh = Array.from({ length: BUFFERS }, () => new ArrayBuffer(BUFFER_BYTES));
  const returning: Promise<ArrayBuffer>[] = [];
  try {
    for (let ended = false; !ended;) {
      const filled = await fill(source, fresh.pop() ?? await (returning.shift() as Promise<ArrayBuffer>));
      ended = filled.ended;
      if (filled.length === 0) continue;
      const turn = use(filled.buffer, filled.length);
      turn.catch(() => {}); // a failure is seen when the buffer is asked back, or at the end
      returning.push(turn);
    }
    await Promise.all(returning);
  } finally {
    await Promise.allSettled(returning);
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
