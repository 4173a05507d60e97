import { ConnectionError, ErrorCode, StreamAborted, StreamError } from "./errors.ts";
import { DEFAULT_WINDOW, type ReceiveWindow } from "./flow.ts";
import {
  Flag,
  type Frame,
  FrameType,
  pingAckFrame,
  readUint32,
  resetFrame,
  settingsAckFrame,
} from "./frames.ts";
import { dependency, HeaderBlock, PRIORITY_BYTES } from "./header_block.ts";
import { type DecodedBlock, HpackDecoder } from "./hpack/decoder.ts";
import { HpackError } from "./hpack/primitives.ts";
import { Cost, MAX_HEADER_LIST, type Patience } from "./limits.ts";
import type { Output } from "./output.ts";
import { bodilessFault, requestFault, trailersFault } from "./request.ts";
import { parseSettings, SettingId } from "./settings.ts";
import type { HeaderField } from "./stream.ts";
import type { StreamTable } from "./stream_table.ts";
import type { Block } from "./wire.ts";

/** What the receiver acts on. */
export interface ReceiverHost {
  readonly streams: StreamTable;
  readonly output: Output;
  readonly window: ReceiveWindow;
  readonly patience: Patience;
  /** Body bytes have left our memory. */
  taken(bytes: number): void;
  /** A request has come; throws `StreamError` to refuse it. */
  open(id: number, headers: readonly HeaderField[], sendWindow: number): void;
}

/** Acts on the frames of the peer, one after the other, by the rules of RFC 9113 sections 5, 6 and 8. */
export class FrameReceiver {
  readonly #host: ReceiverHost;
  readonly #hpack = new HpackDecoder({ maxListSize: MAX_HEADER_LIST });
  /** A header block whose end has not come. */
  #block: HeaderBlock | undefined;
  #settled = false;
  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE. */
  #initialWindow = DEFAULT_WINDOW;

  constructor(host: ReceiverHost) {
    this.#host = host;
  }

  /** Throws `ConnectionError`; what is wrong with one stream only has been dealt with. */
  receive(frame: Frame, memory: Block): void {
    try {
      this.#dispatch(frame, memory);
    } catch (error) {
      if (error instanceof HpackError) throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, error.message);
      if (!(error instanceof StreamError)) throw error;
      this.#resetStream(error);
    }
    if (this.#host.output.isFlooded) throw calm("Answers are not read");
  }

  #dispatch(frame: Frame, memory: Block): void {
    if (!this.#settled && (frame.type !== FrameType.SETTINGS || frame.flags & Flag.ACK)) {
      throw protocolError("The first frame is not SETTINGS");
    }
    if (this.#block) return this.#continueBlock(this.#block, frame);
    switch (frame.type) {
      case FrameType.DATA:
        return this.#data(frame, memory);
      case FrameType.HEADERS:
        return this.#headers(frame);
      case FrameType.PRIORITY:
        return this.#priority(frame);
      case FrameType.RST_STREAM:
        return this.#reset(frame);
      case FrameType.SETTINGS:
        return this.#settings(frame);
      case FrameType.PUSH_PROMISE:
        throw protocolError("A client must not push");
      case FrameType.PING:
        return this.#ping(frame);
      case FrameType.GOAWAY:
        return this.#goAway(frame);
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(frame);
      case FrameType.CONTINUATION:
        throw protocolError("CONTINUATION has nothing to continue");
      default:
        // RFC 9113 section 5.5: unknown types are ignored.
        this.#spend(Cost.FRAME);
    }
  }

  #data(frame: Frame, memory: Block): void {
    requireStream(frame);
    const { streams, window, patience } = this.#host;
    if (frame.payload.length > 0) patience.gain(1);
    else if (!(frame.flags & Flag.END_STREAM)) this.#spend(Cost.FRAME);
    if (!window.take(frame.flowLength)) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "The connection's window is exceeded");
    }
    const stream = streams.get(frame.streamId);
    if (stream && !stream.remoteEnded) return stream.receiveData(frame, memory);
    // Nobody will read it, yet it counts for the connection's window (RFC 9113 section 6.9).
    this.#host.taken(frame.flowLength);
    if (stream) throw new StreamError(frame.streamId, ErrorCode.STREAM_CLOSED, "DATA behind the end");
    this.#onEndedStream(frame.streamId);
  }

  #headers(frame: Frame): void {
    requireStream(frame);
    this.#takeBlock(new HeaderBlock(frame));
  }

  #continueBlock(block: HeaderBlock, frame: Frame): void {
    this.#spend(Cost.FRAME);
    block.continue(frame);
    this.#takeBlock(block);
  }

  #takeBlock(block: HeaderBlock): void {
    this.#block = block.isComplete ? undefined : block;
    if (!block.isComplete) return;
    // Whatever becomes of the fields, decoding them keeps the tables of both sides the same.
    const decoded = this.#hpack.decode(block.bytes);
    const id = block.streamId;
    const { streams } = this.#host;
    const stream = streams.get(id);
    if (!stream && !streams.isIdle(id)) return this.#onEndedStream(id, true);
    if (!stream) {
      if (id % 2 === 0) throw protocolError("Clients open streams of odd numbers only");
      streams.reach(id);
    }
    if (block.dependsOnItself) {
      throw new StreamError(id, ErrorCode.PROTOCOL_ERROR, "A stream depends on itself");
    }
    if (stream?.remoteEnded) throw new StreamError(id, ErrorCode.STREAM_CLOSED, "HEADERS behind the end");
    checkFields(id, decoded, stream ? trailersFault : block.endStream ? bodilessFault : requestFault);
    if (stream && !block.endStream) {
      throw new StreamError(id, ErrorCode.PROTOCOL_ERROR, "Trailers do not end");
    }
    if (!stream) this.#host.open(id, decoded.fields, this.#initialWindow);
    if (block.endStream) streams.get(id)?.endRemote();
  }

  #priority(frame: Frame): void {
    this.#spend(Cost.FRAME);
    requireStream(frame);
    const { streamId, payload } = frame;
    if (payload.length !== PRIORITY_BYTES) {
      throw new StreamError(streamId, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has a wrong length");
    }
    if (dependency(payload) === streamId) {
      throw new StreamError(streamId, ErrorCode.PROTOCOL_ERROR, "A stream depends on itself");
    }
  }

  #reset(frame: Frame): void {
    requireLength(frame, 4);
    requireStream(frame);
    const { streams } = this.#host;
    if (streams.isIdle(frame.streamId)) throw protocolError("RST_STREAM for a stream that is not open");
    const stream = streams.get(frame.streamId);
    this.#spend(stream ? Cost.RESET : Cost.FRAME);
    const code = readUint32(frame.payload, 0);
    stream?.abort(new StreamAborted(code, `The peer reset the stream with code ${code}`), "reset by peer");
  }

  #settings(frame: Frame): void {
    requireConnection(frame);
    this.#spend(Cost.SETTINGS);
    if (frame.flags & Flag.ACK) return requireLength(frame, 0);
    for (const [identifier, value] of parseSettings(frame.payload)) {
      if (identifier === SettingId.INITIAL_WINDOW_SIZE) this.#shiftWindows(value);
    }
    this.#settled = true;
    this.#host.output.control(settingsAckFrame());
    this.#host.output.wake();
  }

  /** Open windows move by the difference, maybe below zero (RFC 9113 section 6.9.2). */
  #shiftWindows(initialWindow: number): void {
    const difference = initialWindow - this.#initialWindow;
    this.#initialWindow = initialWindow;
    for (const stream of this.#host.streams.all()) {
      if (!stream.sending.window.add(difference)) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS makes a window too large");
      }
    }
  }

  #ping(frame: Frame): void {
    requireConnection(frame);
    requireLength(frame, 8);
    this.#spend(Cost.FRAME);
    if (!(frame.flags & Flag.ACK)) this.#host.output.control(pingAckFrame(frame.payload));
  }

  /** The peer wants no streams from us, which we never open; those it has opened go on. */
  #goAway(frame: Frame): void {
    requireConnection(frame);
    this.#spend(Cost.FRAME);
    if (frame.payload.length < 8) {
      throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short");
    }
  }

  #windowUpdate(frame: Frame): void {
    requireLength(frame, 4);
    this.#spend(Cost.FRAME);
    const { streamId } = frame;
    const increment = readUint32(frame.payload, 0) & 0x7fff_ffff;
    const { streams, output } = this.#host;
    if (streamId !== 0 && streams.isIdle(streamId)) throw protocolError("WINDOW_UPDATE for an idle stream");
    const window = streamId === 0 ? output.window : streams.get(streamId)?.sending.window;
    // It may have been sent before the peer knew the stream's end (RFC 9113 section 6.9).
    if (!window) return;
    const fault = increment === 0
      ? ErrorCode.PROTOCOL_ERROR
      : window.add(increment)
      ? undefined
      : ErrorCode.FLOW_CONTROL_ERROR;
    if (fault === undefined) return output.wake();
    const text = `WINDOW_UPDATE by ${increment} is not allowed`;
    throw streamId === 0 ? new ConnectionError(fault, text) : new StreamError(streamId, fault, text);
  }

  /** A frame has come for a stream that is not open (RFC 9113 section 5.1, "closed" and "idle"). */
  #onEndedStream(id: number, isHeaders = false): void {
    const { streams } = this.#host;
    if (streams.isIdle(id)) throw protocolError("DATA for a stream that is not open");
    const ending = streams.ending(id);
    if (ending === "reset") return; // sent before the peer knew
    if (ending === "finished") {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, "A frame for a stream that has ended");
    }
    // Without an ending it was passed over, or ended long ago.
    if (ending === undefined && isHeaders) throw protocolError("Stream numbers must go up");
    throw new StreamError(id, ErrorCode.STREAM_CLOSED, "A frame behind RST_STREAM");
  }

  #resetStream({ streamId, code, message }: StreamError): void {
    const { streams, output } = this.#host;
    if (streams.isIdle(streamId)) throw new ConnectionError(code, message);
    this.#spend(Cost.RESET);
    const stream = streams.get(streamId);
    if (stream) return stream.reset(code);
    output.control(resetFrame(streamId, code));
    streams.end(streamId, "reset");
  }

  #spend(cost: number): void {
    if (!this.#host.patience.spend(cost)) throw calm("Too much work for too little data");
  }
}

function checkFields(
  streamId: number,
  { fields, oversized }: DecodedBlock,
  faultOf: (fields: readonly HeaderField[]) => string | undefined,
): void {
  if (oversized) throw new StreamError(streamId, ErrorCode.ENHANCE_YOUR_CALM, "Header list is too large");
  const fault = faultOf(fields);
  if (fault) throw new StreamError(streamId, ErrorCode.PROTOCOL_ERROR, `Malformed request: ${fault}`);
}

function requireStream(frame: Frame): void {
  if (frame.streamId === 0) throw protocolError("A frame of a stream names none");
}

function requireConnection(frame: Frame): void {
  if (frame.streamId !== 0) throw protocolError("A frame of the connection names a stream");
}

function requireLength({ payload, type }: Frame, length: number): void {
  if (payload.length === length) return;
  throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `Frame of type ${type} has a wrong length`);
}

function protocolError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}

function calm(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message);
}
