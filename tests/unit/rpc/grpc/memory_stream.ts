/** A twin of one HTTP/2 stream in memory, with what a client does at its other end. */
import type { FramedBuffer } from "../../../../src/rpc/http2/framed_buffer.ts";
import type { ErrorCode } from "../../../../src/rpc/http2/errors.ts";
import type { HeaderField, ServerStream } from "../../../../src/rpc/http2/stream.ts";

/** Header fields of a gRPC call; `others` replace those of the same name, `undefined` leaves one out. */
export function callHeaders(path: string, others: Record<string, string | undefined> = {}): HeaderField[] {
  const fields: Record<string, string | undefined> = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "test",
    "content-type": "application/grpc",
    te: "trailers",
    ...others,
  };
  return Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const]
  );
}

/** `message` with gRPC's prefix, written independently of the code under test. */
export function envelope(message: Uint8Array | string, flag = 0): Uint8Array {
  const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
  const { length } = bytes;
  return new Uint8Array([
    flag,
    (length >>> 24) & 255,
    (length >>> 16) & 255,
    (length >>> 8) & 255,
    length & 255,
    ...bytes,
  ]);
}

export class MemoryStream implements ServerStream {
  readonly id = 1;
  /** What the server did, in order: `headers`, `data`, `trailers`, `end` (without any), `reset N`. */
  readonly events: string[] = [];
  /** Fields of the response's first and last header block. */
  fields: Record<string, string> = {};
  trailers: Record<string, string> = {};
  /** How often the server has asked for a piece of the request. */
  reads = 0;
  /** Bytes that the client still takes before the server has to wait. */
  window = Infinity;

  readonly #abort = new AbortController();
  readonly #incoming: (Uint8Array | null)[] = [];
  readonly #outgoing: number[] = [];
  #changed = Promise.withResolvers<void>();
  #ended = false;
  #halfClosed = false;
  #lent: Uint8Array | undefined;

  constructor(readonly headers: readonly HeaderField[]) {}

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  // The client's end.

  /** Sends pieces of the request's body as they are. */
  send(...pieces: Uint8Array[]): this {
    return this.#deliver(...pieces);
  }

  /** Sends whole messages, then ends the request. */
  sendOnly(...messages: string[]): this {
    return this.#deliver(...messages.map((message) => envelope(message)), null);
  }

  halfClose(): this {
    return this.#deliver(null);
  }

  cancel(): void {
    this.#abort.abort(new Error("reset by the client"));
    this.#change();
  }

  open(bytes: number): void {
    this.window += bytes;
    this.#change();
  }

  /** Messages of the response, as text. */
  get messages(): string[] {
    const bytes = new Uint8Array(this.#outgoing);
    const messages: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = new DataView(bytes.buffer).getUint32(at + 1);
      messages.push(new TextDecoder().decode(bytes.subarray(at + 5, at + 5 + length)));
      at += 5 + length;
    }
    return messages;
  }

  get body(): Uint8Array {
    return new Uint8Array(this.#outgoing);
  }

  /** `[code, message]` of gRPC's status. */
  get status(): [number, string] {
    const message = decodeURIComponent(this.trailers["grpc-message"] ?? "");
    return [Number(this.trailers["grpc-status"] ?? NaN), message];
  }

  // The server's end.

  async read(): Promise<Uint8Array | null> {
    this.reads++;
    while (this.#incoming.length === 0) await this.#wait();
    this.signal.throwIfAborted();
    const piece = this.#incoming.shift();
    // A connection reuses its buffer: what was handed over before must not be looked at any more.
    this.#lent?.fill(0xee);
    this.#lent = piece?.slice();
    return this.#lent ?? null;
  }

  respond(fields: readonly HeaderField[]): Promise<void> {
    return this.#act("headers", () => this.fields = Object.fromEntries(fields));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#act("data");
    for (let rest = bytes; rest.length > 0;) {
      while (this.window === 0) await this.#wait();
      const part = rest.subarray(0, this.window);
      this.window -= part.length;
      this.#outgoing.push(...part);
      rest = rest.subarray(part.length);
    }
  }

  async writeFramed(buffer: FramedBuffer): Promise<void> {
    const payload: number[] = [];
    while (buffer.unsent > 0) {
      for (let frames = buffer.take(this.id, 1000); frames.length > 0;) {
        const length = frames[0]! << 16 | frames[1]! << 8 | frames[2]!;
        payload.push(...frames.subarray(9, 9 + length));
        frames = frames.subarray(9 + length);
      }
    }
    await this.write(new Uint8Array(payload));
  }

  async end(fields?: readonly HeaderField[]): Promise<void> {
    await this.#act(fields ? "trailers" : "end", () => {
      this.trailers = Object.fromEntries(fields ?? []);
      this.#ended = true;
    });
  }

  reset(code: ErrorCode): void {
    if (this.signal.aborted || (this.#ended && this.#halfClosed)) return;
    this.events.push(`reset ${code}`);
    this.#ended = true;
  }

  /** What the server does shows only later, but in the order it was done. */
  async #act(event: string, act = () => {}): Promise<void> {
    await Promise.resolve();
    this.signal.throwIfAborted();
    const isBegin = event === "headers";
    if (this.#ended || isBegin === this.events.includes("headers")) {
      throw new TypeError(`"${event}" out of order`);
    }
    this.events.push(event);
    act();
  }

  #deliver(...pieces: (Uint8Array | null)[]): this {
    this.#incoming.push(...pieces);
    this.#halfClosed ||= pieces.includes(null);
    this.#change();
    return this;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async #wait(): Promise<void> {
    await this.#changed.promise;
    this.signal.throwIfAborted();
  }
}
