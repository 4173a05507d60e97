import type { ArchiveCheck, ArchiveContents } from "../archive/contents.ts";
import type { ByteSource } from "../core/bytes.ts";

/** Milliseconds between two calls of `onBytes`. */
const REPORT_INTERVAL = 250;

/**
 * Hands bytes through and checks them on the way: its good end means that the producer ended well *and*
 * that the bytes are a whole archive.
 *
 * The producer's guest waits for our reader: when nobody asks for bytes for `stallTimeout` milliseconds,
 * the source is cancelled and the next read says so.
 */
export class CheckedSource implements ByteSource {
  #bytes = 0;
  #reported = 0;
  #contents: ArchiveContents | undefined;
  /** When the last bytes were handed out; absent while a read is under way. */
  #idleSince: number | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #cancelled: { reason: unknown; settled: Promise<void> } | undefined;

  constructor(
    private readonly source: ByteSource,
    private readonly check: ArchiveCheck,
    private readonly options: { stallTimeout: number; onBytes: (bytes: number) => void },
  ) {}

  /** Bytes that the producer has given so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the check found. Only after the good end. */
  get contents(): ArchiveContents {
    if (!this.#contents) throw new TypeError("The archive was not read to its end");
    return this.#contents;
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    this.#throwIfCancelled();
    this.#idleSince = undefined;
    // One timer for the whole dump: a timer per chunk would cost a third of the throughput.
    this.#watch ??= setInterval(() => this.#endWhenStalled(), this.options.stallTimeout / 10);
    try {
      const chunk = await this.source.read(view);
      this.#throwIfCancelled();
      if (chunk.byteLength === 0) {
        clearInterval(this.#watch);
        const contents = await this.check.end();
        this.#throwIfCancelled();
        this.#contents = contents;
        return chunk;
      }
      this.#bytes += chunk.byteLength;
      const pushed = this.check.push(chunk);
      if (pushed) await pushed;
      this.#tell();
      return chunk;
    } catch (error) {
      clearInterval(this.#watch);
      // A cancelled source fails in its own words, or not at all; the reason of the cancel is what happened.
      this.#throwIfCancelled();
      throw error;
    }
  }

  #throwIfCancelled(): void {
    if (this.#cancelled) throw this.#cancelled.reason;
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#reported >= REPORT_INTERVAL) {
      this.#reported = now;
      this.options.onBytes(this.#bytes);
    }
    this.#idleSince = now;
  }

  #endWhenStalled(): void {
    const { stallTimeout } = this.options;
    if (this.#idleSince === undefined || performance.now() - this.#idleSince < stallTimeout) return;
    const seconds = Math.round(stallTimeout / 1000);
    const reason = `The target took no byte for ${seconds} seconds; the dump was ended to free the guest`;
    this.cancel(new Error(reason)).catch(() => {}); // the next read tells
  }

  cancel(reason: unknown): Promise<void> {
    clearInterval(this.#watch);
    this.#cancelled ??= {
      reason,
      settled: Promise.all([this.source.cancel(reason), this.check.cancel(reason)]).then(() => {}),
    };
    return this.#cancelled.settled;
  }
}
