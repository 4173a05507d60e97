import { ConnectionError, ErrorCode } from "./errors.ts";
import {
  CLIENT_PREFACE,
  Flag,
  type Frame,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  MAX_FRAME_PAYLOAD,
  readFrameHeader,
} from "./frames.ts";

/**
 * Cuts what a client sends into frames: its preface first, then frame by frame.
 *
 * A DATA frame is handed over as its bytes come, cut where the chunks are cut, as several smaller frames of which
 * only the last may end the stream: nothing depends on where DATA is cut, and nothing has to be put together.
 * Other frames are handed over whole. Frames of unknown types come too.
 */
export class FrameDecoder {
  #prefaceSeen = 0;
  readonly #headerBytes = new Uint8Array(FRAME_HEADER_BYTES);
  #headerSeen = 0;
  #frame: FrameHeader | undefined;
  /** Payload bytes of the frame that came in earlier chunks. */
  #seen = 0;
  /** Holds the start of a payload whose rest is in a later chunk. */
  #whole: Uint8Array | undefined;
  /** Of the DATA frame at hand; -1 until its length byte has come. */
  #padding = 0;

  /**
   * The frames in `chunk` and in what was left of the ones before. Throws `ConnectionError` where the bytes are no
   * frames, after handing over the ones before that place; the decoder is of no use then.
   */
  *decode(chunk: Uint8Array): Generator<Frame, void> {
    let at = this.#checkPreface(chunk);
    for (;;) {
      if (!this.#frame) {
        const end = Math.min(chunk.length, at + FRAME_HEADER_BYTES - this.#headerSeen);
        this.#headerBytes.set(chunk.subarray(at, end), this.#headerSeen);
        this.#headerSeen += end - at;
        at = end;
        if (this.#headerSeen < FRAME_HEADER_BYTES) return;
        this.#frame = this.#startFrame();
      }
      const header = this.#frame;
      const part = chunk.subarray(at, at + header.length - this.#seen);
      at += part.length;
      this.#seen += part.length;
      const isLast = this.#seen === header.length;
      const frame = header.type === FrameType.DATA
        ? this.#dataPart(header, part, isLast)
        : this.#wholeFrame(header, part, isLast);
      if (isLast) this.#frame = undefined;
      if (frame) yield frame;
      if (!isLast) return;
    }
  }

  #checkPreface(chunk: Uint8Array): number {
    let at = 0;
    for (; this.#prefaceSeen < CLIENT_PREFACE.length && at < chunk.length; at++) {
      if (chunk[at] !== CLIENT_PREFACE[this.#prefaceSeen++]) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "The client's preface is not HTTP/2's");
      }
    }
    return at;
  }

  #startFrame(): FrameHeader {
    const header = readFrameHeader(this.#headerBytes, 0);
    this.#headerSeen = 0;
    this.#seen = 0;
    this.#whole = undefined;
    if (header.length > MAX_FRAME_PAYLOAD) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `Frame of ${header.length} bytes is too large`);
    }
    this.#padding = header.type === FrameType.DATA && header.flags & Flag.PADDED ? -1 : 0;
    if (this.#padding < 0 && header.length === 0) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "Padded frame has no padding length");
    }
    return header;
  }

  #dataPart(header: FrameHeader, part: Uint8Array, isLast: boolean): Frame | undefined {
    const flowLength = part.length;
    if (flowLength === 0 && !isLast) return undefined;
    let content = part;
    if (this.#padding < 0 && flowLength > 0) {
      this.#padding = part[0]!;
      if (this.#padding >= header.length) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "Padding is longer than its frame");
      }
      content = part.subarray(1);
    }
    // The content ends where the padding begins, which may be before this part.
    const behindContent = this.#seen - (header.length - this.#padding);
    if (behindContent > 0) content = content.subarray(0, Math.max(0, content.length - behindContent));
    const flags = isLast ? header.flags : header.flags & ~Flag.END_STREAM;
    return { ...header, length: flowLength, flags, payload: content, flowLength };
  }

  #wholeFrame(header: FrameHeader, part: Uint8Array, isLast: boolean): Frame | undefined {
    if (isLast && part.length === header.length) return { ...header, payload: part, flowLength: 0 };
    this.#whole ??= new Uint8Array(header.length);
    this.#whole.set(part, this.#seen - part.length);
    return isLast ? { ...header, payload: this.#whole, flowLength: 0 } : undefined;
  }
}
