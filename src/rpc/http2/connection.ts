import { ConnectionError, ErrorCode, StreamAborted, StreamError } from "./errors.ts";
import { DEFAULT_WINDOW, ReceiveWindow } from "./flow.ts";
import { FrameDecoder } from "./frame_decoder.ts";
import { FrameReceiver, type ReceiverHost } from "./frame_receiver.ts";
import { goAwayFrame, settingsFrame, windowUpdateFrame } from "./frames.ts";
import {
  CONNECTION_WINDOW,
  GOODBYE_GRACE,
  MAX_CONCURRENT_STREAMS,
  MAX_HEADER_LIST,
  Patience,
  STREAM_WINDOW,
} from "./limits.ts";
import { Output } from "./output.ts";
import type { SendQueue } from "./send_queue.ts";
import { Stream, type StreamHost } from "./server_stream.ts";
import { SettingId } from "./settings.ts";
import type { HeaderField, ServerStream } from "./stream.ts";
import { type Ending, StreamTable } from "./stream_table.ts";
import { BlockPool, type Wire } from "./wire.ts";

/**
 * Answers one request. A rejection, or a return before `end()` was called, resets the stream with INTERNAL_ERROR;
 * what the request still sends after a whole response is refused.
 */
export type StreamHandler = (stream: ServerStream) => void | Promise<void>;

export interface ConnectionOptions {
  /** Requests at a time; default 100. */
  maxConcurrentStreams?: number;
  /** Body bytes held for one reader; default 1 MiB. */
  streamWindow?: number;
  /** Body bytes held for all readers; default 4 MiB. */
  connectionWindow?: number;
  /** Milliseconds, for limits on rates. */
  now?: () => number;
}

/** The server's side of an HTTP/2 connection (RFC 9113) with prior knowledge, over any byte stream. */
export class ServerConnection implements StreamHost, ReceiverHost {
  readonly streams = new StreamTable();
  readonly output: Output;
  readonly window: ReceiveWindow;
  readonly patience: Patience;
  readonly #wire: Wire;
  readonly #handler: StreamHandler;
  readonly #receiver: FrameReceiver;
  readonly #maxStreams: number;
  readonly #streamWindow: number;
  readonly #connectionWindow: number;
  readonly #handlers = new Set<Promise<void>>();
  #leaving = false;

  constructor(wire: Wire, handler: StreamHandler, options: ConnectionOptions = {}) {
    this.#wire = wire;
    this.#handler = handler;
    this.#maxStreams = options.maxConcurrentStreams ?? MAX_CONCURRENT_STREAMS;
    this.#streamWindow = options.streamWindow ?? STREAM_WINDOW;
    this.#connectionWindow = options.connectionWindow ?? CONNECTION_WINDOW;
    this.window = new ReceiveWindow(this.#connectionWindow, DEFAULT_WINDOW);
    this.patience = new Patience(options.now ?? (() => performance.now()));
    this.output = new Output(wire, (frames) => this.patience.gain(frames));
    this.#receiver = new FrameReceiver(this);
  }

  /**
   * Serves until the input ends, the wire breaks, the peer breaks the protocol or `shutdown()` has done its work.
   * Resolves, never rejects, when every handler has settled too; the signals of those that were in the middle of a
   * stream are aborted.
   */
  async run(): Promise<void> {
    this.#greet();
    const sending = this.output.run();
    const fault = await Promise.race([this.#readAll(), sending]).then(() => undefined, (error) => error);
    this.#leaving = true;
    const gone = new StreamAborted(ErrorCode.CANCEL, "The connection has ended");
    for (const stream of this.streams.all()) stream.abort(gone, "reset");
    if (fault instanceof ConnectionError) {
      this.output.control(goAwayFrame(this.streams.lastId, fault.code, fault.message));
    }
    this.output.close();
    if (fault instanceof ConnectionError) await settled(sending, GOODBYE_GRACE);
    this.output.abandon();
    await Promise.all(this.#handlers);
  }

  /** Takes no further requests, finishes those at hand, then ends `run()`. */
  shutdown(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.output.control(goAwayFrame(this.streams.lastId, ErrorCode.NO_ERROR));
    this.#leaveWhenDone();
  }

  control(frame: Uint8Array): void {
    this.output.control(frame);
  }

  ready(queue: SendQueue): void {
    this.output.ready(queue);
  }

  taken(bytes: number): void {
    const increment = this.window.give(bytes);
    if (increment > 0) this.control(windowUpdateFrame(0, increment));
  }

  ended(streamId: number, how: Ending): void {
    this.streams.end(streamId, how);
    this.#leaveWhenDone();
  }

  open(id: number, headers: readonly HeaderField[], sendWindow: number): void {
    // Behind a GOAWAY, requests are ignored; the peer may send them elsewhere (RFC 9113 section 6.8).
    if (this.#leaving) return this.streams.end(id, "reset");
    // Handlers of streams that were reset may still be at work: they count, or resets would be a way round the limit.
    if (this.streams.size >= this.#maxStreams || this.#handlers.size >= 2 * this.#maxStreams) {
      throw new StreamError(id, ErrorCode.REFUSED_STREAM, "Too many streams");
    }
    const stream = new Stream(id, headers, this, { send: sendWindow, receive: this.#streamWindow });
    this.streams.add(stream);
    this.#handle(stream);
  }

  /** The server's preface: SETTINGS first (RFC 9113 section 3.4), and the connection's window opened fully. */
  #greet(): void {
    this.control(settingsFrame([
      [SettingId.MAX_CONCURRENT_STREAMS, this.#maxStreams],
      [SettingId.INITIAL_WINDOW_SIZE, this.#streamWindow],
      [SettingId.MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST],
    ]));
    this.taken(Math.max(0, this.#connectionWindow - DEFAULT_WINDOW));
  }

  /** Resolves at the end of input; throws `ConnectionError`. */
  async #readAll(): Promise<void> {
    const decoder = new FrameDecoder();
    const blocks = new BlockPool();
    for (;;) {
      const block = blocks.take();
      const chunk = await this.#wire.read(block.bytes).catch(() => null);
      if (!chunk) return;
      try {
        for (const frame of decoder.decode(chunk)) this.#receiver.receive(frame, block);
      } catch (error) {
        if (error instanceof ConnectionError) throw error;
        throw new ConnectionError(ErrorCode.INTERNAL_ERROR, String(error));
      }
      block.release();
    }
  }

  #handle(stream: Stream): void {
    const handled = this.#answer(stream).then(() => {
      this.#handlers.delete(handled);
      stream.handled();
    });
    this.#handlers.add(handled);
  }

  /** Never rejects. */
  async #answer(stream: Stream): Promise<void> {
    // The rest of the chunk first: a stream that it resets is not worth a handler.
    await Promise.resolve();
    if (stream.signal.aborted) return;
    try {
      await this.#handler(stream);
    } catch {
      stream.reset(ErrorCode.INTERNAL_ERROR);
    }
  }

  #leaveWhenDone(): void {
    if (this.#leaving && this.streams.size === 0) this.output.close();
  }
}

/** Waits until `promise` settles, at most `milliseconds`. */
async function settled(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise((resolve) => timer = setTimeout(resolve, milliseconds));
  await Promise.race([promise.catch(() => {}), timeout]);
  clearTimeout(timer);
}
