import type { Block } from "./wire.ts";

/**
 * Below this, bytes are copied rather than held where they are: a byte that is not read must not hold a whole
 * block of memory, and many of them not one object each.
 */
const COPY_BELOW = 8 * 1024;

/** Bytes on their way to the reader. */
interface Piece {
  bytes: Uint8Array;
  /** What the bytes are a part of; absent for a copy. */
  block?: Block;
  /** The memory of a copy, which further small pieces may be added to. */
  room?: Uint8Array;
}

/** A request's body between the wire and its reader. */
export class Inbox {
  readonly #queue: Piece[] = [];
  readonly #onTaken: (bytes: number) => void;
  /** The piece that the reader has. */
  #inHand: Piece | undefined;
  #waiting: PromiseWithResolvers<Uint8Array | null> | undefined;
  #ended = false;
  #failure: Error | undefined;

  /** `onTaken` is told when bytes have left our memory. */
  constructor(onTaken: (bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  /** Adds bytes, which lie in `block`. */
  push(bytes: Uint8Array, block: Block): void {
    if (bytes.length === 0 || this.#failure) return;
    if (bytes.length >= COPY_BELOW) {
      block.hold();
      this.#queue.push({ bytes, block });
    } else if (this.#waiting) {
      this.#queue.push({ bytes: bytes.slice() });
    } else {
      this.#append(bytes);
    }
    this.#answer();
  }

  /** The body is whole. */
  end(): void {
    this.#ended = true;
    this.#answer();
  }

  /** Nothing more can be read; reads reject. Bytes not read count as taken. */
  fail(reason: Error): void {
    if (this.#failure) return;
    this.#failure = reason;
    // The reader may still be at work on these bytes: their block is not read into again.
    if (this.#inHand) this.#onTaken(this.#inHand.bytes.length);
    this.#inHand = undefined;
    for (const piece of this.#queue.splice(0)) this.#drop(piece);
    this.#waiting?.reject(reason);
    this.#waiting = undefined;
  }

  /** See `ServerStream.read()`. */
  read(): Promise<Uint8Array | null> {
    if (this.#waiting) return Promise.reject(new TypeError("Cannot read: a read is under way"));
    this.#release();
    if (this.#failure) return Promise.reject(this.#failure);
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    // A reader that left meanwhile must not turn the stream's end into an unhandled rejection.
    promise.catch(() => {});
    this.#answer();
    return promise;
  }

  #answer(): void {
    if (!this.#waiting) return;
    this.#inHand = this.#queue.shift();
    if (this.#inHand) this.#waiting.resolve(this.#inHand.bytes);
    else if (this.#ended) this.#waiting.resolve(null);
    else return;
    this.#waiting = undefined;
  }

  #append(bytes: Uint8Array): void {
    const tail = this.#queue.at(-1);
    const used = tail?.bytes.length ?? 0;
    if (tail?.room && used + bytes.length <= tail.room.length) {
      tail.room.set(bytes, used);
      tail.bytes = tail.room.subarray(0, used + bytes.length);
      return;
    }
    const room = new Uint8Array(COPY_BELOW);
    room.set(bytes);
    this.#queue.push({ bytes: room.subarray(0, bytes.length), room });
  }

  #release(): void {
    if (this.#inHand) this.#drop(this.#inHand);
    this.#inHand = undefined;
  }

  #drop(piece: Piece): void {
    piece.block?.release();
    this.#onTaken(piece.bytes.length);
  }
}
