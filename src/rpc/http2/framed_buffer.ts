import { FRAME_HEADER_BYTES, FrameType, MAX_FRAME_PAYLOAD, writeFrameHeader } from "./frames.ts";

/**
 * Most bytes of a region to fill. Four frames of them come in one read and are then moved apart: that costs far
 * less than a read for each.
 */
const REGION_BYTES = 4 * MAX_FRAME_PAYLOAD;

/** Bytes of a whole frame. */
const STRIDE = FRAME_HEADER_BYTES + MAX_FRAME_PAYLOAD;

/**
 * A large buffer that is filled in place and sent in place: before each payload of at most 16,384 bytes it leaves
 * room for the header of the DATA frame which that payload becomes.
 *
 * Fill it: `next()` a region, read into it, tell `filled()`, until `isFull` or the data ends. Send it with
 * `ServerStream.writeFramed()`, which uses it up. Then `clear()` it and start again.
 */
export class FramedBuffer {
  readonly #prefixLength: number;
  readonly #size: number;
  #buffer: ArrayBuffer;
  /** Payload bytes, the prefix included. */
  #payload: number;
  /** Of them, how many were taken for the wire. */
  #taken = 0;

  /**
   * `size`: bytes of the buffer, frame headers included. `prefix`: bytes kept free at the start of the first
   * payload, for what is known only when the buffer is full; see `prefix`.
   */
  constructor(size: number, options: { prefix?: number } = {}) {
    const prefix = options.prefix ?? 0;
    if (prefix >= MAX_FRAME_PAYLOAD || size <= FRAME_HEADER_BYTES + prefix) {
      throw new RangeError(`Cannot lay out frames: ${size} bytes with a prefix of ${prefix} hold no data`);
    }
    this.#size = size;
    this.#prefixLength = prefix;
    this.#payload = prefix;
    this.#buffer = new ArrayBuffer(size);
  }

  /** Bytes filled so far, without the prefix. */
  get length(): number {
    return this.#payload - this.#prefixLength;
  }

  get isFull(): boolean {
    return placeOf(this.#payload) >= this.#size;
  }

  /** The bytes before the data, for the caller to fill in; ask again after each `filled()`. */
  get prefix(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer, FRAME_HEADER_BYTES, this.#prefixLength);
  }

  /** The region to fill next; empty when the buffer is full. */
  next(): Uint8Array<ArrayBuffer> {
    if (this.isFull) return new Uint8Array(this.#buffer, 0, 0);
    const start = placeOf(this.#payload);
    const left = payloadsWithin(this.#size) - this.#payload;
    return new Uint8Array(this.#buffer, start, Math.min(REGION_BYTES, left));
  }

  /**
   * The first `bytes` of the last region were filled. `buffer` is where all bytes are now, for a read that
   * transferred the buffer: the same size, and the same content outside of the region.
   */
  filled(bytes: number, buffer: ArrayBuffer = this.#buffer): void {
    if (buffer.byteLength !== this.#size) {
      throw new RangeError(`Cannot go on filling: the buffer came back with ${buffer.byteLength} bytes`);
    }
    this.#buffer = buffer;
    if (bytes > this.next().length) throw new RangeError(`Cannot fill ${bytes} bytes: the region is smaller`);
    this.#spread(bytes);
    this.#payload += bytes;
  }

  /** Moves what was filled in one piece apart, the last frame first, so that each has its header's place before it. */
  #spread(bytes: number): void {
    const region = new Uint8Array(this.#buffer);
    const [begin, end] = [this.#payload, this.#payload + bytes];
    let last = end;
    for (let frame = (Math.ceil(end / MAX_FRAME_PAYLOAD) - 1) * MAX_FRAME_PAYLOAD; frame > begin;) {
      const from = placeOf(begin) + frame - begin;
      region.copyWithin(placeOf(frame), from, from + last - frame);
      last = frame;
      frame -= MAX_FRAME_PAYLOAD;
    }
  }

  /** Forgets the content. Not while a `writeFramed()` of this buffer is under way. */
  clear(): void {
    this.#payload = this.#prefixLength;
    this.#taken = 0;
  }

  /** Payload bytes that were not taken yet, the prefix included. */
  get unsent(): number {
    return this.#payload - this.#taken;
  }

  /**
   * For the connection: the next DATA frames as they go on the wire, with at most `limit` payload bytes.
   * What was taken before must be on the wire: a frame that is split gets its second header in the place of
   * bytes that are gone.
   */
  take(streamId: number, limit: number): Uint8Array {
    const bytes = new Uint8Array(this.#buffer);
    const end = Math.min(this.#payload, this.#taken + limit);
    const start = placeOf(this.#taken) - FRAME_HEADER_BYTES;
    let last = start;
    while (this.#taken < end) {
      const place = placeOf(this.#taken);
      const length = Math.min(end - this.#taken, MAX_FRAME_PAYLOAD - this.#taken % MAX_FRAME_PAYLOAD);
      const header = { length, type: FrameType.DATA, flags: 0, streamId };
      writeFrameHeader(bytes, place - FRAME_HEADER_BYTES, header);
      this.#taken += length;
      last = place + length;
    }
    return bytes.subarray(start, last);
  }
}

/** How many payload bytes a buffer of `size` bytes has places for. */
function payloadsWithin(size: number): number {
  return Math.floor(size / STRIDE) * MAX_FRAME_PAYLOAD + Math.max(0, size % STRIDE - FRAME_HEADER_BYTES);
}

/** Where in the buffer a payload byte lies; for the first of a frame, behind that frame's header. */
function placeOf(payload: number): number {
  return Math.floor(payload / MAX_FRAME_PAYLOAD) * STRIDE + FRAME_HEADER_BYTES + payload % MAX_FRAME_PAYLOAD;
}
