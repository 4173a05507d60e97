import type { FramedBuffer } from "../http2/framed_buffer.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { HeaderField, ServerStream } from "../http2/stream.ts";
import { encodeEnvelope, EnvelopeDecoder } from "./envelope.ts";
import { GrpcError, Status, statusFields } from "./status.ts";
import { unlessAborted } from "./timeout.ts";

const RESPONSE_FIELDS: readonly HeaderField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
  ["grpc-accept-encoding", "identity"],
];

/** One call: messages as bytes in both directions, and its end. Methods know it through `methods.ts`. */
export class ServerCall {
  readonly #stream: ServerStream;
  readonly #decoder: EnvelopeDecoder;
  #messages: Iterator<Uint8Array, void> = [].values();
  #isAtEnd = false;
  #readError: unknown;
  #isResponding = false;
  #hasFinished = false;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #pendingWrites = 0;

  /** `signal`: what ends the call early, its reason a {@linkcode GrpcError}. */
  constructor(stream: ServerStream, readonly signal: AbortSignal, maxMessageBytes?: number) {
    this.#stream = stream;
    this.#decoder = new EnvelopeDecoder(maxMessageBytes);
  }

  /**
   * The next request message, `null` after the last; valid until the next call. Reads no more of the body than
   * that takes. The end stays the end, and a failure the failure. Not to be called before the last call settled.
   */
  async read(): Promise<Uint8Array | null> {
    if (this.#readError !== undefined) throw this.#readError;
    try {
      for (;;) {
        const message = this.#messages.next();
        if (!message.done) return message.value;
        if (this.#isAtEnd) return null;
        const chunk = await unlessAborted(this.#stream.read(), this.signal);
        this.#isAtEnd = chunk === null;
        if (chunk) this.#messages = this.#decoder.decode(chunk);
        else this.#decoder.end();
      }
    } catch (error) {
      throw this.#readError = this.#reason(error);
    }
  }

  /** The request of a method that takes exactly one. Throws UNIMPLEMENTED when there are more or less. */
  async readOnly(): Promise<Uint8Array> {
    const message = (await this.read())?.slice();
    if (message && await this.read() === null) return message;
    throw new GrpcError(Status.UNIMPLEMENTED, "Cannot take the request: not exactly one message");
  }

  /** Sends a message; settles when the wire has taken it. Calls may overlap: they keep their order. */
  send(message: Uint8Array): Promise<void> {
    return this.#write(() => this.#stream.write(encodeEnvelope(message)));
  }

  /** Like `send`, for a buffer that holds a whole message with its prefix: nothing is copied. */
  sendFramed(buffer: FramedBuffer): Promise<void> {
    return this.#write(() => this.#stream.writeFramed(buffer));
  }

  #write(write: () => Promise<void>): Promise<void> {
    this.#pendingWrites++;
    const written = this.#lastWrite.then(async () => {
      this.signal.throwIfAborted();
      if (this.#hasFinished) throw new Error("Cannot send a message: the call has ended");
      await Promise.all([this.#respond(), write()]);
    }).finally(() => this.#pendingWrites--);
    this.#lastWrite = written.catch(() => {});
    const told = unlessAborted(written, this.signal).catch((error) => {
      throw this.#reason(error);
    });
    // A method that does not await this learns the end of its call elsewhere; it must not take the process along.
    told.catch(() => {});
    return told;
  }

  /** Begins the response, once. What is sent right after it goes out with it. */
  #respond(): Promise<void> {
    if (this.#isResponding) return Promise.resolve();
    this.#isResponding = true;
    return this.#stream.respond(RESPONSE_FIELDS);
  }

  /** Why the call was ended early, if it was: this tells more than what its streams say then. */
  #reason(error: unknown): unknown {
    return this.signal.aborted ? this.signal.reason : error;
  }

  /** Ends the call with its status, after the messages that are on their way; `error` absent: it went well. */
  async finish(error?: GrpcError): Promise<void> {
    if (this.signal.aborted && this.#pendingWrites > 0) {
      this.#hasFinished = true;
      this.#stream.reset(ErrorCode.CANCEL); // nothing may follow half a message
      return;
    }
    await this.#lastWrite;
    this.#hasFinished = true;
    await endStream(this.#stream, this.#respond(), statusFields(error));
  }
}

/**
 * Ends a response whose beginning is `responded`, and refuses the rest of the request: without that a client would
 * go on sending what nobody reads (RFC 9113 section 8.1).
 */
export async function endStream(
  stream: ServerStream,
  responded: Promise<void>,
  trailers?: readonly HeaderField[],
): Promise<void> {
  await Promise.all([responded, stream.end(trailers)]);
  stream.reset(ErrorCode.NO_ERROR);
}
