/**
 * A pull stream of bytes with back-pressure: nothing moves unless somebody reads.
 *
 * Reads are sequential: call `read` again only after the last one settled. A source that ends well
 * has delivered everything its producer wanted to say *and* its producer succeeded: a command's
 * source ends only after exit status 0. Every other end is a rejected `read`.
 */
export interface ByteSource {
  /**
   * Fills some of `view`, from its start. The buffer belongs to the source until the promise
   * settles and comes back, maybe transferred, with what it held outside of `view` unchanged: go on with
   * `result.buffer`, never with `view`. Answers at least one byte; an empty view, of a buffer all the same,
   * is the good end.
   */
  read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the stream early and frees what is behind it. Waits until that is done; safe to repeat and after the end. */
  cancel(reason: unknown): Promise<void>;
}

/** Most bytes of one transfer from a pipe: what a pipe holds. Smaller ones cost more calls than they save waiting. */
export const TRANSFER_BYTES = 64 * 1024;

/** Size of one coalesced output buffer. */
export const BUFFER_BYTES = 1024 * 1024;

/** Bytes at hand as a source. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  let taken = 0;
  return {
    read(view) {
      const part = bytes.subarray(taken, taken + view.byteLength);
      view.set(part);
      taken += part.byteLength;
      return Promise.resolve(view.subarray(0, part.byteLength));
    },
    cancel() {
      taken = bytes.byteLength;
      return Promise.resolve();
    },
  };
}

/** Walks `source` to its end, handing over each chunk; the chunk's bytes are valid until `take` settles. */
export async function drain(
  source: ByteSource,
  take: (chunk: Uint8Array<ArrayBuffer>) => void | Promise<void>,
): Promise<void> {
  let buffer = new ArrayBuffer(TRANSFER_BYTES);
  for (;;) {
    const chunk = await source.read(new Uint8Array(buffer));
    if (chunk.byteLength === 0) return;
    await take(chunk);
    buffer = chunk.buffer;
  }
}
