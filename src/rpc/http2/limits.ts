/** Body bytes held for all readers of a connection together, before the peer has to wait. */
export const CONNECTION_WINDOW = 4 * 1024 * 1024;

/** Body bytes held for one reader. */
export const STREAM_WINDOW = 1024 * 1024;

/** Requests at a time; the smallest number that RFC 9113 section 6.5.2 recommends. */
export const MAX_CONCURRENT_STREAMS = 100;

/** Bytes of a header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts, and of its coded block. */
export const MAX_HEADER_LIST = 64 * 1024;

/** CONTINUATION frames of one header block; frames may be empty, so that the bytes do not limit them. */
export const MAX_CONTINUATIONS = 64;

/** Bytes of answers to control frames that wait for a peer which does not read them. */
export const MAX_CONTROL_BACKLOG = 64 * 1024;

/** Milliseconds for the last GOAWAY to be taken by a peer that may not be reading. */
export const GOODBYE_GRACE = 1_000;

/** What a frame costs of the patience with a peer. */
export const Cost = { FRAME: 1, SETTINGS: 4, RESET: 10 } as const;

/** Patience gained by a frame that moves something: a peer may well answer each with a PING and WINDOW_UPDATEs. */
const GAIN_PER_FRAME = 4;

/** Patience gained per second, for a connection that lives on keep-alive PINGs. */
const GAIN_PER_SECOND = 20;

const FULL_PATIENCE = 4_000;

/**
 * Patience with a peer that makes work without moving data: control frames, empty frames, streams reset as soon
 * as opened. Measured against the data that moves, since gRPC peers PING as fast as data comes (RFC 9113
 * section 10.5 leaves the measure to us).
 */
export class Patience {
  #left = FULL_PATIENCE;
  #since: number;
  readonly #now: () => number;

  /** `now`: milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  /** Takes note of work; `false` once the patience is at its end. */
  spend(cost: number): boolean {
    this.#left -= cost;
    if (this.#left >= 0) return true;
    const now = this.#now();
    this.#gain((now - this.#since) / 1000 * GAIN_PER_SECOND);
    this.#since = now;
    return this.#left >= 0;
  }

  /** Takes note of frames of streams that were of use, in either direction. */
  gain(frames: number): void {
    this.#gain(frames * GAIN_PER_FRAME);
  }

  #gain(amount: number): void {
    this.#left = Math.min(FULL_PATIENCE, this.#left + amount);
  }
}
