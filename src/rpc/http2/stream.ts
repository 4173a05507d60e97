import type { ErrorCode } from "./errors.ts";

/** A header field; names in lower case, pseudo-header fields (`:path`) included. */
export type HeaderField = readonly [name: string, value: string];

/** One request of the peer, as the connection hands it to its handler once the header block is complete. */
export interface ServerStream {
  readonly id: number;
  readonly headers: readonly HeaderField[];
  /** Aborted when the peer resets the stream, or when the connection ends before the stream did. */
  readonly signal: AbortSignal;
  /**
   * The next piece of the request's body, `null` at its end. The bytes are the reader's until the next call, which
   * gives their part of the flow-control windows back to the peer: who does not read holds the peer back.
   * Rejects once `signal` is aborted.
   */
  read(): Promise<Uint8Array | null>;
  /** Sends the response's header fields; once, before anything else. */
  respond(headers: readonly HeaderField[]): Promise<void>;
  /**
   * Sends body bytes as DATA frames, waiting for the peer's windows. Settles when the wire has taken them all;
   * the bytes must not change before. Rejects once `signal` is aborted.
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Like `write`, for a buffer whose DATA frame headers are already laid out (see `FramedBuffer`): nothing is
   * copied, the frame headers are filled in on the way.
   */
  writeFramed(buffer: import("./framed_buffer.ts").FramedBuffer): Promise<void>;
  /** Ends the response with trailer fields, or with none. */
  end(trailers?: readonly HeaderField[]): Promise<void>;
  /** Ends the stream in both directions; no effect once it has ended. */
  reset(code: ErrorCode): void;
}
