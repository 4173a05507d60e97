import type { ErrorCode } from "./errors.ts";

/** RFC 9113 section 6. */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

export const Flag = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

export const FRAME_HEADER_BYTES = 9;

/** The largest payload that every peer takes, and the largest that we take (RFC 9113 section 4.2). */
export const MAX_FRAME_PAYLOAD = 16_384;

/** What a client sends first (RFC 9113 section 3.4). */
export const CLIENT_PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface FrameHeader {
  /** Bytes of the payload. */
  length: number;
  type: number;
  flags: number;
  /** 0: the connection itself. */
  streamId: number;
}

export interface Frame extends FrameHeader {
  /**
   * For DATA the content without padding, a view of the chunk that was decoded; for other types the whole payload,
   * which may be such a view too.
   */
  payload: Uint8Array;
  /** For DATA the bytes that count for flow control, padding included. */
  flowLength: number;
}

/** Fills in the 9 bytes of a frame header at `at`. */
export function writeFrameHeader(target: Uint8Array, at: number, header: FrameHeader): void {
  const { length, type, flags, streamId } = header;
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  writeUint32(target, at + 5, streamId);
}

/** Reads a frame header at `at`, the reserved bit left out (RFC 9113 section 4.1). */
export function readFrameHeader(bytes: Uint8Array, at: number): FrameHeader {
  return {
    length: bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!,
    type: bytes[at + 3]!,
    flags: bytes[at + 4]!,
    streamId: readUint32(bytes, at + 5) & 0x7fff_ffff,
  };
}

/** One frame. */
export function frame(type: number, flags: number, streamId: number, payload?: Uint8Array): Uint8Array {
  const length = payload?.length ?? 0;
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + length);
  writeFrameHeader(bytes, 0, { length, type, flags, streamId });
  if (payload) bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export type Setting = readonly [identifier: number, value: number];

export function settingsFrame(settings: readonly Setting[]): Uint8Array {
  const payload = new Uint8Array(settings.length * 6);
  settings.forEach(([identifier, value], place) => {
    payload[place * 6] = identifier >>> 8;
    payload[place * 6 + 1] = identifier;
    writeUint32(payload, place * 6 + 2, value);
  });
  return frame(FrameType.SETTINGS, 0, 0, payload);
}

export function settingsAckFrame(): Uint8Array {
  return frame(FrameType.SETTINGS, Flag.ACK, 0);
}

/** The answer to a PING with this payload. */
export function pingAckFrame(payload: Uint8Array): Uint8Array {
  return frame(FrameType.PING, Flag.ACK, 0, payload);
}

/** `streamId` 0: the connection's window. */
export function windowUpdateFrame(streamId: number, increment: number): Uint8Array {
  return frame(FrameType.WINDOW_UPDATE, 0, streamId, uint32Bytes(increment));
}

export function resetFrame(streamId: number, code: ErrorCode): Uint8Array {
  return frame(FrameType.RST_STREAM, 0, streamId, uint32Bytes(code));
}

/** `lastStreamId`: the highest stream that was or may be acted on; `debug`: for whoever reads the peer's log. */
export function goAwayFrame(lastStreamId: number, code: ErrorCode, debug = ""): Uint8Array {
  const text = new TextEncoder().encode(debug);
  const payload = new Uint8Array(8 + text.length);
  writeUint32(payload, 0, lastStreamId);
  writeUint32(payload, 4, code);
  payload.set(text, 8);
  return frame(FrameType.GOAWAY, 0, 0, payload);
}

/** A header block as HEADERS and as many CONTINUATION frames as it takes. */
export function headerFrames(streamId: number, block: Uint8Array, endStream: boolean): Uint8Array {
  const count = Math.max(1, Math.ceil(block.length / MAX_FRAME_PAYLOAD));
  const out = new Uint8Array(count * FRAME_HEADER_BYTES + block.length);
  let at = 0;
  for (let place = 0; place < count; place++) {
    const part = block.subarray(place * MAX_FRAME_PAYLOAD, (place + 1) * MAX_FRAME_PAYLOAD);
    const type = place === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    const flags = (place === 0 && endStream ? Flag.END_STREAM : 0) |
      (place === count - 1 ? Flag.END_HEADERS : 0);
    writeFrameHeader(out, at, { length: part.length, type, flags, streamId });
    out.set(part, at + FRAME_HEADER_BYTES);
    at += FRAME_HEADER_BYTES + part.length;
  }
  return out;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function uint32Bytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, value);
  return bytes;
}
