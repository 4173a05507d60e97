import type { ErrorCode } from "./stream.ts";

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
