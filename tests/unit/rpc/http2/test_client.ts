import assert from "node:assert/strict";
import {
  type ConnectionOptions,
  ServerConnection,
  type StreamHandler,
} from "../../../../src/rpc/http2/connection.ts";
import type { HeaderField } from "../../../../src/rpc/http2/stream.ts";
import { concat, hex } from "./bytes.ts";
import { HpackJsDecoder, HpackJsEncoder } from "./hpack/hpack_js.ts";
import { MemoryWire } from "./memory_wire.ts";

/** Milliseconds after which a frame that was waited for is not coming. */
const PATIENCE = 10_000;

export const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const REQUEST: HeaderField[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/echo"],
  [":authority", "localhost"],
  ["te", "trailers"],
];

export interface ClientFrame {
  type: number;
  flags: number;
  streamId: number;
  payload: Uint8Array;
}

/** A frame of any kind, also of kinds that must not be. */
export function rawFrame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = new Uint8Array(),
): Uint8Array {
  const header = new DataView(new ArrayBuffer(9));
  header.setUint32(0, payload.length << 8 | type);
  header.setUint8(4, flags);
  header.setUint32(5, streamId);
  return concat(new Uint8Array(header.buffer), payload);
}

export function uint32(...values: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, place) => view.setUint32(place * 4, value));
  return new Uint8Array(view.buffer);
}

/** The payload of a SETTINGS frame. */
export function settings(...pairs: [identifier: number, value: number][]): Uint8Array {
  return concat(...pairs.map(([identifier, value]) => concat(Uint8Array.of(0, identifier), uint32(value))));
}

/** A client that speaks HTTP/2 by itself, to a server connection of this process. */
export class TestClient implements AsyncDisposable {
  readonly wire = new MemoryWire();
  readonly connection: ServerConnection;
  /** Settles when the server is done. */
  readonly finished: Promise<void>;
  readonly hpack = new HpackJsEncoder();
  readonly #decoder = new HpackJsDecoder();
  #rest: Uint8Array = new Uint8Array();
  #frames: ClientFrame[] = [];
  /** Every frame that came, in its order. */
  readonly seen: ClientFrame[] = [];

  constructor(handler: StreamHandler, options: ConnectionOptions = {}) {
    this.connection = new ServerConnection(this.wire, handler, options);
    this.finished = this.connection.run();
  }

  /** A client that has greeted; `initial`: its settings. */
  static greeted(
    handler: StreamHandler,
    options: ConnectionOptions & { initial?: Uint8Array } = {},
  ): TestClient {
    const client = new TestClient(handler, options);
    client.send(PREFACE, rawFrame(0x4, 0, 0, options.initial));
    return client;
  }

  send(...frames: Uint8Array[]): void {
    this.wire.send(concat(...frames));
  }

  /** Opens a stream; `end`: the request has no body. */
  request(streamId: number, options: { end?: boolean; fields?: HeaderField[] } = {}): void {
    const block = this.hpack.encode(options.fields ?? REQUEST);
    this.send(rawFrame(0x1, 0x4 | (options.end ? 0x1 : 0), streamId, block));
  }

  data(streamId: number, payload: Uint8Array | string = "", end = false): void {
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    this.send(rawFrame(0x0, end ? 0x1 : 0, streamId, bytes));
  }

  /** Gives the server room to send; `streamId` 0: on the connection. */
  update(streamId: number, increment: number): void {
    this.send(rawFrame(0x8, 0, streamId, uint32(increment)));
  }

  reset(streamId: number, code = 0x8): void {
    this.send(rawFrame(0x3, 0, streamId, uint32(code)));
  }

  /** Waits for the next frame of this kind, and passes over others for good. */
  async expect(type: number, streamId: number): Promise<ClientFrame> {
    for (;;) {
      const frame = await this.next();
      assert.ok(frame, `The server ended before a frame of type ${type} for stream ${streamId}`);
      if (frame.type === type && frame.streamId === streamId) return frame;
    }
  }

  /** The next frame; nothing once the server is done. */
  async next(): Promise<ClientFrame | undefined> {
    while (this.#frames.length === 0) {
      const done = await this.#withDeadline(
        Promise.race([this.wire.arrival().then(() => false), this.finished.then(() => true)]),
      );
      this.#parse();
      if (done && this.#frames.length === 0) return undefined;
    }
    return this.#frames.shift();
  }

  /** The response's status and fields, body and trailers; RST_STREAM fails it. */
  async response(
    streamId: number,
  ): Promise<{ fields: HeaderField[]; body: Uint8Array; trailers: HeaderField[] }> {
    const blocks: HeaderField[][] = [];
    const body: Uint8Array[] = [];
    for (let ended = false; !ended;) {
      const frame = await this.next();
      assert.ok(frame, "The server ended in the middle of the response");
      if (frame.type === 0x1) blocks.push(this.#decoder.decode(frame.payload));
      if (frame.streamId !== streamId) continue;
      assert.notEqual(frame.type, 0x3, "The stream was reset");
      if (frame.type === 0x0) body.push(frame.payload);
      ended = frame.type <= 0x1 && (frame.flags & 0x1) !== 0;
    }
    return { fields: blocks[0] ?? [], body: concat(...body), trailers: blocks[1] ?? [] };
  }

  /** Waits for the end by GOAWAY and answers its code; everything before it is passed over. */
  async goAwayCode(): Promise<number> {
    const { payload } = await this.expect(0x7, 0);
    return new DataView(payload.buffer, payload.byteOffset).getUint32(4);
  }

  /** Waits for RST_STREAM and answers its code. */
  async resetCode(streamId: number): Promise<number> {
    const { payload } = await this.expect(0x3, streamId);
    return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  }

  /** Waits until the server has acted on all that was sent. */
  async settle(): Promise<void> {
    const mark = hex("7365 74746c6521 ff");
    this.send(rawFrame(0x6, 0, 0, mark));
    for (;;) {
      const { payload } = await this.expect(0x6, 0);
      if (payload.every((byte, at) => byte === mark[at])) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wire.end();
    await this.#withDeadline(this.finished);
  }

  #parse(): void {
    this.#rest = concat(this.#rest, this.wire.takeOutput());
    while (this.#rest.length >= 9) {
      const view = new DataView(this.#rest.buffer, this.#rest.byteOffset);
      const end = 9 + (view.getUint32(0) >>> 8);
      if (this.#rest.length < end) return;
      const frame = {
        type: view.getUint8(3),
        flags: view.getUint8(4),
        streamId: view.getUint32(5),
        payload: this.#rest.slice(9, end),
      };
      this.#frames.push(frame);
      this.seen.push(frame);
      this.#rest = this.#rest.subarray(end);
    }
  }

  async #withDeadline<T>(promise: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("The server did not answer")), PATIENCE);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Answers with what the request's body says. */
export const echo: StreamHandler = async (stream) => {
  await stream.respond([[":status", "200"], ["content-type", "text/plain"]]);
  for (let bytes = await stream.read(); bytes; bytes = await stream.read()) await stream.write(bytes);
  await stream.end([["x-trailer", "done"]]);
};
