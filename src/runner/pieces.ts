/** Bytes of one write into a pipe: a 64 KiB pipe moves most when no transfer fills it. */
const PIECE_BYTES = 16 * 1024;

/** Hands `chunk` to a pipe's `write`, piece after piece. */
export async function inPieces(
  chunk: Uint8Array,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
    await write(chunk.subarray(start, start + PIECE_BYTES));
  }
}
