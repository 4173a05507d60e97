import type { ByteSource } from "../../core/bytes.ts";

/** Where pushed bytes come from. */
export interface PushedSourceOwner {
  /** Holds the pushes back, and lets them come again. */
  pause(): void;
  resume(): void;
  /** Ends what pushes; nothing more is wanted. */
  cancel(): void;
}

/** Bytes kept before the pusher is held back. It still delivers what was under way. */
const ENOUGH = 256 * 1024;

/** Makes a pull stream of chunks that are pushed, with back-pressure; each byte is copied once, into the view. */
export class PushedSource implements ByteSource {
  readonly #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that were taken. */
  #offset = 0;
  #bytes = 0;
  #enough = ENOUGH;
  #isPaused = false;
  #isEnded = false;
  #failure: { reason: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(readonly owner: PushedSourceOwner) {}

  /** Keeps `chunk` itself until it is read. */
  push(chunk: Uint8Array): void {
    if (this.#failure || chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes >= this.#enough && !this.#isPaused) {
      this.#isPaused = true;
      this.owner.pause();
    }
    this.#wake?.();
  }

  /** All was pushed. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** Drops what is kept: pending and later reads reject. */
  fail(reason: unknown): void {
    if (this.#failure) return;
    this.#failure = { reason };
    this.#chunks.length = 0;
    this.#bytes = 0;
    this.#wake?.();
  }

  /** Keeps up to `bytes` from now on. */
  allow(bytes: number): void {
    this.#enough = bytes;
    this.#resumeIfLow();
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#bytes === 0) {
      if (this.#failure) throw this.#failure.reason;
      if (this.#isEnded) return view.subarray(0, 0);
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
    return view.subarray(0, this.#take(view));
  }

  cancel(reason: unknown): Promise<void> {
    if (!this.#isEnded || this.#bytes > 0) this.fail(reason);
    this.owner.cancel();
    return Promise.resolve();
  }

  #take(view: Uint8Array): number {
    let filled = 0;
    while (filled < view.byteLength && this.#bytes > 0) {
      const chunk = this.#chunks[0]!;
      const part = chunk.subarray(this.#offset, this.#offset + view.byteLength - filled);
      view.set(part, filled);
      filled += part.byteLength;
      this.#offset += part.byteLength;
      this.#bytes -= part.byteLength;
      if (this.#offset < chunk.byteLength) break;
      this.#chunks.shift();
      this.#offset = 0;
    }
    this.#resumeIfLow();
    return filled;
  }

  #resumeIfLow(): void {
    if (!this.#isPaused || this.#bytes > this.#enough / 2) return;
    this.#isPaused = false;
    this.owner.resume();
  }
}
