/** The largest window there is (RFC 9113 section 6.9.1). */
export const MAX_WINDOW = 2 ** 31 - 1;

/** The window that streams and the connection start with (RFC 9113 section 6.9.2). */
export const DEFAULT_WINDOW = 65_535;

/** How many DATA bytes we may still send: the peer's promise. Below zero after a SETTINGS change. */
export class SendWindow {
  #available: number;

  constructor(size = DEFAULT_WINDOW) {
    this.#available = size;
  }

  get available(): number {
    return this.#available;
  }

  take(bytes: number): void {
    this.#available -= bytes;
  }

  /** Adds an increment or the difference of a SETTINGS change; `false` if that is more than a window can be. */
  add(bytes: number): boolean {
    this.#available += bytes;
    return this.#available <= MAX_WINDOW;
  }
}

/** How many DATA bytes the peer may still send: our promise, renewed as the bytes are taken out of our memory. */
export class ReceiveWindow {
  readonly #size: number;
  #open: number;
  #unannounced = 0;

  /** `size`: bytes we are ready to hold; `open`: what the peer knows of it so far. */
  constructor(size: number, open = size) {
    this.#size = size;
    this.#open = open;
  }

  /** Counts bytes that came; `false` if the peer sent more than it was allowed. */
  take(bytes: number): boolean {
    this.#open -= bytes;
    return this.#open >= 0;
  }

  /**
   * Gives back room for bytes that left our memory. Answers the increment to announce now; 0 while it is less than
   * a quarter of the window, since many small updates cost both sides more than they help.
   */
  give(bytes: number): number {
    this.#unannounced += bytes;
    if (this.#unannounced < this.#size / 4) return 0;
    const increment = this.#unannounced;
    this.#unannounced = 0;
    this.#open += increment;
    return increment;
  }
}
