import { Flag, FRAME_HEADER_BYTES, FrameType, headerFrames, writeFrameHeader } from "./frames.ts";
import { NO_TABLE } from "./hpack/encoder.ts";

const STAGING_BYTES = 256 * 1024;

/** The largest header block that may be sent. */
export const MAX_SENT_BLOCK = 64 * 1024;

/** Gathers small frames of all streams, so that the wire takes them in one write. */
export class Staging {
  readonly #bytes = new Uint8Array(STAGING_BYTES);
  #used = 0;
  #tableDeclared = false;

  get isEmpty(): boolean {
    return this.#used === 0;
  }

  /** Copies whole frames; like all that follow, answers `false` and does nothing when they do not fit any more. */
  frames(bytes: Uint8Array): boolean {
    if (this.#used + bytes.length > STAGING_BYTES) return false;
    this.#bytes.set(bytes, this.#used);
    this.#used += bytes.length;
    return true;
  }

  /** Header frames; the connection's first ones declare that we use no dynamic table. */
  fields(streamId: number, block: Uint8Array, endStream: boolean): boolean {
    let whole = block;
    if (!this.#tableDeclared) {
      whole = new Uint8Array(NO_TABLE.length + block.length);
      whole.set(NO_TABLE);
      whole.set(block, NO_TABLE.length);
    }
    if (!this.frames(headerFrames(streamId, whole, endStream))) return false;
    this.#tableDeclared = true;
    return true;
  }

  /** One DATA frame. */
  data(streamId: number, bytes: Uint8Array, endStream = false): boolean {
    if (this.#used + FRAME_HEADER_BYTES + bytes.length > STAGING_BYTES) return false;
    const flags = endStream ? Flag.END_STREAM : 0;
    writeFrameHeader(this.#bytes, this.#used, {
      length: bytes.length,
      type: FrameType.DATA,
      flags,
      streamId,
    });
    this.#bytes.set(bytes, this.#used + FRAME_HEADER_BYTES);
    this.#used += FRAME_HEADER_BYTES + bytes.length;
    return true;
  }

  /** What was gathered, valid until the next frame is added; the gathering starts again. */
  drain(): Uint8Array {
    const gathered = this.#bytes.subarray(0, this.#used);
    this.#used = 0;
    return gathered;
  }
}
