import { ErrorCode, StreamAborted, StreamError } from "./errors.ts";
import { ReceiveWindow, SendWindow } from "./flow.ts";
import type { FramedBuffer } from "./framed_buffer.ts";
import { Flag, type Frame, resetFrame, windowUpdateFrame } from "./frames.ts";
import { encodeFields } from "./hpack/encoder.ts";
import { Inbox } from "./inbox.ts";
import { announcedLength } from "./request.ts";
import { type Content, SendQueue } from "./send_queue.ts";
import { MAX_SENT_BLOCK } from "./staging.ts";
import type { HeaderField, ServerStream } from "./stream.ts";
import type { Block } from "./wire.ts";

/** What a stream needs of its connection. */
export interface StreamHost {
  /** Sends a frame ahead of what the streams send. */
  control(frame: Uint8Array): void;
  /** There is something to send in `queue`. */
  ready(queue: SendQueue): void;
  /** Body bytes have left our memory. */
  taken(bytes: number): void;
  /** The stream has ended: both sides have said all, or one was reset. */
  ended(streamId: number, how: "finished" | "reset" | "reset by peer"): void;
}

/** A stream that the peer opened, from its request's header fields to its end (RFC 9113 section 5.1). */
export class Stream implements ServerStream {
  readonly sending: SendQueue;
  readonly #host: StreamHost;
  readonly #inbox: Inbox;
  readonly #window: ReceiveWindow;
  readonly #abort = new AbortController();
  readonly #announced: number | undefined;
  #received = 0;
  #responded = false;
  /** `end()` was called. */
  #ending = false;
  /** Our last frame was taken for the wire. */
  #localEnded = false;
  #remoteEnded = false;
  #handled = false;
  #over = false;

  constructor(
    readonly id: number,
    readonly headers: readonly HeaderField[],
    host: StreamHost,
    windows: { send: number; receive: number },
  ) {
    this.#host = host;
    this.#window = new ReceiveWindow(windows.receive);
    this.#inbox = new Inbox((bytes) => this.#taken(bytes));
    this.sending = new SendQueue(id, new SendWindow(windows.send), () => this.#endLocal());
    this.#announced = announcedLength(headers);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The peer has said all; it may still reset the stream. */
  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  read(): Promise<Uint8Array | null> {
    return this.#inbox.read();
  }

  respond(headers: readonly HeaderField[]): Promise<void> {
    if (this.#responded) return refusal("the response was begun before");
    return this.#sendFields(headers, false);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#sendBody({ kind: "data", rest: bytes });
  }

  writeFramed(buffer: FramedBuffer): Promise<void> {
    return this.#sendBody({ kind: "framed", buffer });
  }

  end(trailers?: readonly HeaderField[]): Promise<void> {
    if (!this.#responded) return refusal("there was no response");
    if (this.#ending) return refusal("the response was ended before");
    if (trailers?.length) return this.#sendFields(trailers, true);
    this.#ending = true;
    return this.#send({ kind: "end" });
  }

  reset(code: ErrorCode): void {
    if (this.#over) return;
    this.#host.control(resetFrame(this.id, code));
    this.abort(new StreamAborted(code, `Stream was reset with code ${code}`), "reset");
  }

  /** Takes a DATA frame; throws `StreamError`. All its bytes are given back to the windows sooner or later. */
  receiveData(frame: Frame, block: Block): void {
    const fits = this.#window.take(frame.flowLength);
    this.#taken(frame.flowLength - frame.payload.length);
    this.#received += frame.payload.length;
    const fault = !fits
      ? new StreamError(this.id, ErrorCode.FLOW_CONTROL_ERROR, "The stream's window is exceeded")
      : this.#received > (this.#announced ?? Infinity)
      ? new StreamError(this.id, ErrorCode.PROTOCOL_ERROR, "The body is longer than its content-length")
      : undefined;
    if (fault) {
      this.#host.taken(frame.payload.length);
      throw fault;
    }
    this.#inbox.push(frame.payload, block);
    if (frame.flags & Flag.END_STREAM) this.endRemote();
  }

  /** The peer has said all; throws `StreamError` if that is less than it announced. */
  endRemote(): void {
    if (this.#received !== (this.#announced ?? this.#received)) {
      const text = "The body has another length than its content-length";
      throw new StreamError(this.id, ErrorCode.PROTOCOL_ERROR, text);
    }
    this.#remoteEnded = true;
    this.#inbox.end();
    this.#settle();
  }

  /** The handler is done. What it left open is closed. */
  handled(): void {
    this.#handled = true;
    if (!this.#ending) this.reset(ErrorCode.INTERNAL_ERROR);
    this.#inbox.fail(new StreamAborted(ErrorCode.CANCEL, "The request was handled"));
    this.#settle();
  }

  /** Ends the stream on our side; nothing more of it is sent. */
  abort(reason: StreamAborted, how: "reset" | "reset by peer"): void {
    if (this.#over) return;
    this.#over = true;
    this.sending.fail(reason);
    this.#inbox.fail(reason);
    this.#host.ended(this.id, how);
    this.#abort.abort(reason);
  }

  #endLocal(): void {
    this.#localEnded = true;
    this.#settle();
  }

  #settle(): void {
    if (this.#over || !this.#localEnded) return;
    if (this.#remoteEnded) {
      this.#over = true;
      this.#host.ended(this.id, "finished");
    } else if (this.#handled) {
      // The response is whole and nobody reads the request any more (RFC 9113 section 8.1).
      this.reset(ErrorCode.NO_ERROR);
    }
  }

  #taken(bytes: number): void {
    this.#host.taken(bytes);
    if (this.#over || this.#remoteEnded) return;
    const increment = this.#window.give(bytes);
    if (increment > 0) this.#host.control(windowUpdateFrame(this.id, increment));
  }

  #sendBody(content: Content): Promise<void> {
    if (!this.#responded) return refusal("there was no response");
    if (this.#ending) return refusal("the response was ended before");
    return this.#send(content);
  }

  #sendFields(fields: readonly HeaderField[], endStream: boolean): Promise<void> {
    let block: Uint8Array;
    try {
      block = encodeFields(fields);
    } catch (error) {
      return Promise.reject(error);
    }
    if (block.length > MAX_SENT_BLOCK) return refusal("the header fields are too large");
    this.#responded = true;
    this.#ending = endStream;
    return this.#send({ kind: "fields", block, endStream });
  }

  #send(content: Content): Promise<void> {
    const sent = this.sending.push(content);
    if (!this.#over) this.#host.ready(this.sending);
    return sent;
  }
}

function refusal(reason: string): Promise<never> {
  return Promise.reject(new TypeError(`Cannot send: ${reason}`));
}
