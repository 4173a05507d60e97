/** Sessions that sshd takes on one connection unless told otherwise (sshd_config(5), MaxSessions). */
const MAX_SESSIONS = 10;

/** Counts the channels that are open on a connection, and learns how many the node takes. */
export class ChannelSlots {
  #open = 0;
  #limit: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit = MAX_SESSIONS) {
    this.#limit = limit;
  }

  /** Channels that the node takes side by side, as far as known. */
  get limit(): number {
    return this.#limit;
  }

  /** Waits until one more channel may be opened, and takes its place. */
  async take(): Promise<void> {
    while (this.#open >= this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#open++;
  }

  /** Takes the place of one more channel if there is one now. */
  takeNow(): boolean {
    const hasRoom = this.#open < this.#limit;
    if (hasRoom) this.#open++;
    return hasRoom;
  }

  /** Gives a place back. */
  free(): void {
    this.#open--;
    this.#waiting.shift()?.();
  }

  /**
   * Gives back the place of a channel that the node refused to open. Answers whether others are open, so that one
   * of them can be waited for; then no more than those are opened from now on.
   */
  refused(): boolean {
    const others = this.#open - 1;
    if (others > 0) this.#limit = Math.min(this.#limit, others);
    this.free();
    return others > 0;
  }
}
