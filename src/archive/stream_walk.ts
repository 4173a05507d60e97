import { Buffer } from "node:buffer";
import { ArchiveDamage } from "./contents.ts";

/**
 * What a walk asks for next. `take`: exactly these bytes in one piece. `skip`: pass over them unseen.
 * `upTo`: as `take`, fewer at the end of the stream. `peek`: as `upTo`, and they stay in the stream.
 */
interface Request {
  readonly how: "take" | "skip" | "upTo" | "peek";
  readonly bytes: number;
  /** What the bytes belong to, for the message when the stream ends inside them. */
  readonly what: string;
}

/**
 * A parser of a byte stream, written as if all bytes were there: it yields what it wants and is resumed
 * with it. A piece is valid until the next `yield`. A walk must look for the end of the stream itself,
 * by an `upTo` that comes back empty.
 */
export type Walk<Result> = Generator<Request, Result, Uint8Array>;

export const take = (bytes: number, what: string): Request => ({ how: "take", bytes, what });
export const skip = (bytes: number, what: string): Request => ({ how: "skip", bytes, what });
export const upTo = (bytes: number): Request => ({ how: "upTo", bytes, what: "" });
export const peek = (bytes: number): Request => ({ how: "peek", bytes, what: "" });

/** Where a walk is in its stream. */
export class Position {
  /** Bytes before the next piece. */
  offset = 0;

  /** @param subject what the messages call the stream */
  constructor(readonly subject: string) {}

  /** An error to throw: something is wrong at byte `offset`. */
  damage(offset: number, text: string): ArchiveDamage {
    return new ArchiveDamage(`${this.subject} is damaged at byte ${offset}: ${text}`);
  }

  /** An error to throw: the stream ends too early. */
  cut(what: string): ArchiveDamage {
    return new ArchiveDamage(`${this.subject} is cut: it ends at byte ${this.offset}, ${what}`);
  }
}

const EMPTY = new Uint8Array(0);
/** The buffer of a piece that spans chunks grows with what arrives, never by a claimed length. */
const FIRST_GATHER_BYTES = 4096;

/** Runs a {@linkcode Walk} over a stream that arrives in chunks of any size. */
export class StreamWalk<Result> {
  readonly #at: Position;
  readonly #walk: Walk<Result>;
  #request: Request | undefined;
  /** Bytes that the current request still lacks. */
  #missing = 0;
  #gathered: Uint8Array = EMPTY;
  #gatheredBytes = 0;
  #result: Result | undefined;
  #failure: unknown;

  /** @param subject what error messages call the stream, such as `Archive` */
  constructor(start: (at: Position) => Walk<Result>, subject = "Archive") {
    this.#at = new Position(subject);
    this.#walk = start(this.#at);
    this.#resume(EMPTY);
  }

  /** Takes the next bytes of the stream, keeps none of them. Throws the walk's {@linkcode ArchiveDamage}. */
  push(chunk: Uint8Array): void {
    // A Buffer's `slice` shares its bytes where a walk that uses it means to copy.
    const bytes = chunk instanceof Buffer
      ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      : chunk;
    for (let start = 0; start < bytes.length;) start += this.#feed(bytes, start);
  }

  /** Says that the stream is over. Throws {@linkcode ArchiveDamage} if the walk wanted more. */
  end(): Result {
    if (this.#failure !== undefined) throw this.#failure;
    while (this.#request !== undefined) {
      const { how, what } = this.#request;
      if (how === "take" || how === "skip") {
        this.#at.offset += this.#gatheredBytes;
        throw this.#at.cut(`${this.#missing} bytes before the end of ${what}`);
      }
      this.#deliver(this.#gathered.subarray(0, this.#gatheredBytes));
    }
    return this.#result as Result;
  }

  /** Gives bytes from `start` on to the current request; answers how many of them. */
  #feed(chunk: Uint8Array, start: number): number {
    const request = this.#request;
    if (request === undefined) throw new TypeError("A walk ended before its stream did");
    const bytes = Math.min(this.#missing, chunk.length - start);
    if (request.how === "skip") {
      this.#at.offset += bytes;
      this.#missing -= bytes;
      if (this.#missing === 0) this.#resume(EMPTY);
    } else if (bytes === request.bytes) {
      this.#deliver(chunk.subarray(start, start + bytes));
    } else {
      this.#gather(chunk.subarray(start, start + bytes));
    }
    return bytes;
  }

  #gather(part: Uint8Array): void {
    const filled = this.#gatheredBytes + part.length;
    if (filled > this.#gathered.length) {
      const grown = new Uint8Array(Math.max(FIRST_GATHER_BYTES, 2 * filled));
      grown.set(this.#gathered.subarray(0, this.#gatheredBytes));
      this.#gathered = grown;
    }
    this.#gathered.set(part, this.#gatheredBytes);
    this.#gatheredBytes = filled;
    this.#missing -= part.length;
    if (this.#missing === 0) this.#deliver(this.#gathered.subarray(0, filled));
  }

  #deliver(piece: Uint8Array): void {
    if (this.#request?.how !== "peek") {
      this.#at.offset += piece.length;
      this.#resume(piece);
      return;
    }
    const kept = piece.slice();
    this.#resume(kept);
    this.push(kept);
  }

  /** Hands the walk its piece and notes what it wants next. */
  #resume(piece: Uint8Array): void {
    let step = this.#next(piece);
    while (!step.done && step.value.bytes === 0) step = this.#next(EMPTY);
    this.#gatheredBytes = 0;
    if (this.#gathered.length > FIRST_GATHER_BYTES) this.#gathered = EMPTY;
    this.#missing = step.done ? 0 : step.value.bytes;
    this.#request = step.done ? undefined : step.value;
    if (step.done) this.#result = step.value;
  }

  /** A generator that threw looks like one that returned: the failure is kept, so that it stays one. */
  #next(piece: Uint8Array): IteratorResult<Request, Result> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#walk.next(piece);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}
