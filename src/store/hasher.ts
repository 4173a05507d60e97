/**
 * sha256 on a thread of its own. Buffers go over by transfer, so nothing is copied, and come back empty for
 * the next use: with the file written on this thread meanwhile, both run at once.
 */
export class Hasher {
  readonly #worker = new Worker(new URL("./hash_worker.ts", import.meta.url).href, { type: "module" });
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];

  #failure: Error | undefined;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#waiting.shift()?.resolve(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#failure = new Error(`The hashing thread failed: ${event.message}`);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
    };
  }

  /** Adds the first `length` bytes of `buffer`; answers the buffer for reuse. */
  async update(buffer: ArrayBuffer, length: number): Promise<ArrayBuffer> {
    const answer = await this.#ask({ buffer, length }, [buffer]);
    return answer.buffer as ArrayBuffer;
  }

  /** The digest, lower-case hex. */
  async finish(): Promise<string> {
    const answer = await this.#ask({ finish: true }, []);
    return answer.sha256 as string;
  }

  close(): void {
    this.#worker.terminate();
  }

  #ask(message: unknown, transfer: Transferable[]): Promise<Answer> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(message, transfer);
    });
  }
}

interface Answer {
  buffer?: ArrayBuffer;
  sha256?: string;
}
