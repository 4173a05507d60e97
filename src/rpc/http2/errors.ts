/** Why a stream or the connection ends (RFC 9113 section 7). */
export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

export type ErrorCode = typeof ErrorCode[keyof typeof ErrorCode];

/** The peer broke a rule in a way that ends the whole connection (RFC 9113 section 5.4.1). */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  constructor(readonly code: ErrorCode, message: string) {
    super(message);
  }
}

/** The peer broke a rule in a way that ends one stream (RFC 9113 section 5.4.2). */
export class StreamError extends Error {
  override readonly name = "StreamError";
  constructor(readonly streamId: number, readonly code: ErrorCode, message: string) {
    super(message);
  }
}

/** Why a stream's `signal` was aborted, and what its reads and writes reject with from then on. */
export class StreamAborted extends Error {
  override readonly name = "StreamAborted";
  constructor(
    /** The code of RST_STREAM, a number the peer chose and maybe none of ours; `CANCEL` when the wire ended. */
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}
