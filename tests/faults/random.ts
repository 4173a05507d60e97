/** Numbers that look random and are the same for the same seed. */
export class Random {
  #state: number;
  constructor(seed: number) {
    // Neighbouring seeds shall not give neighbouring numbers.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    // xorshift32
    let state = this.#state || 1;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}
