import type { Stream } from "./server_stream.ts";

/** How a stream ended. */
export type Ending = "finished" | "reset" | "reset by peer";

/** Endings kept in mind: more than a peer can have under way to streams that it does not know to be over. */
const REMEMBERED = 1_000;

/** The streams of a connection (RFC 9113 section 5.1). */
export class StreamTable {
  readonly #open = new Map<number, Stream>();
  readonly #endings = new Map<number, Ending>();
  #lastId = 0;

  /** The highest stream that the peer has opened. */
  get lastId(): number {
    return this.#lastId;
  }

  get size(): number {
    return this.#open.size;
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  /** Not opened so far; the even ones are ours to open, and we open none. */
  isIdle(id: number): boolean {
    return id % 2 === 0 || id > this.#lastId;
  }

  /** How a stream ended; nothing for one that was never opened or ended long ago. */
  ending(id: number): Ending | undefined {
    return this.#endings.get(id);
  }

  /** Opening a stream closes all idle ones before it (RFC 9113 section 5.1.1). */
  reach(id: number): void {
    this.#lastId = id;
  }

  add(stream: Stream): void {
    this.#open.set(stream.id, stream);
  }

  end(id: number, how: Ending): void {
    this.#open.delete(id);
    this.#endings.set(id, how);
    if (this.#endings.size <= REMEMBERED) return;
    for (const oldest of this.#endings.keys()) {
      this.#endings.delete(oldest);
      return;
    }
  }

  /** The open streams. */
  all(): Stream[] {
    return [...this.#open.values()];
  }
}
