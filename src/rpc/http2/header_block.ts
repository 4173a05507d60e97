import { ConnectionError, ErrorCode } from "./errors.ts";
import { Flag, type Frame, FrameType, readUint32 } from "./frames.ts";
import { MAX_CONTINUATIONS, MAX_HEADER_LIST } from "./limits.ts";

/** A header block on its way in: a HEADERS frame and the CONTINUATION frames after it. */
export class HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  /** The deprecated priority made the stream depend on itself. */
  readonly dependsOnItself: boolean;
  readonly #fragments: Uint8Array[] = [];
  #bytes = 0;
  #complete: boolean;

  /** Throws `ConnectionError` for a HEADERS frame whose parts do not fit. */
  constructor(headers: Frame) {
    this.streamId = headers.streamId;
    this.endStream = (headers.flags & Flag.END_STREAM) !== 0;
    this.#complete = (headers.flags & Flag.END_HEADERS) !== 0;
    let fragment = withoutPadding(headers);
    this.dependsOnItself = false;
    if (headers.flags & Flag.PRIORITY) {
      if (fragment.length < PRIORITY_BYTES) {
        throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority");
      }
      this.dependsOnItself = dependency(fragment) === headers.streamId;
      fragment = fragment.subarray(PRIORITY_BYTES);
    }
    this.#add(fragment);
  }

  /** The coded fields, once `isComplete`. */
  get bytes(): Uint8Array {
    const [first, ...more] = this.#fragments;
    if (first && more.length === 0) return first;
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const fragment of this.#fragments) {
      all.set(fragment, at);
      at += fragment.length;
    }
    return all;
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  /** Takes the next frame, which must be a CONTINUATION of this block (RFC 9113 section 6.10). */
  continue(frame: Frame): void {
    if (frame.type !== FrameType.CONTINUATION || frame.streamId !== this.streamId) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "Header block is cut by another frame");
    }
    if (this.#fragments.length > MAX_CONTINUATIONS) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "Header block has too many parts");
    }
    this.#complete = (frame.flags & Flag.END_HEADERS) !== 0;
    this.#add(frame.payload);
  }

  #add(fragment: Uint8Array): void {
    this.#bytes += fragment.length;
    if (this.#bytes > MAX_HEADER_LIST) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "Header block is too large");
    }
    // A block that is not complete outlives the chunk that its parts are views of.
    this.#fragments.push(this.#complete && this.#fragments.length === 0 ? fragment : fragment.slice());
  }
}

export const PRIORITY_BYTES = 5;

/** The stream that a priority names (RFC 9113 section 6.3). */
export function dependency(priority: Uint8Array): number {
  return readUint32(priority, 0) & 0x7fff_ffff;
}

function withoutPadding({ payload, flags }: Frame): Uint8Array {
  if (!(flags & Flag.PADDED)) return payload;
  const [padding] = payload;
  if (padding === undefined) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "Padded frame has no padding length");
  }
  if (padding >= payload.length) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "Padding is longer than its frame");
  }
  return payload.subarray(1, payload.length - padding);
}
