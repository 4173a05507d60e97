/** What goes to the thread. */
export type FileRequest =
  | { what: "create"; path: string }
  | { what: "append"; buffer: ArrayBuffer; length: number }
  | { what: "finish" };

/** What comes back, one answer per request, in order. */
export interface FileAnswer {
  buffer?: ArrayBuffer;
  sha256?: string;
  failure?: { message: string; code?: string };
}

/**
 * A new file, mode 0600, written and hashed on a thread of its own. Buffers go over by transfer, so nothing is
 * copied, and come back for the next use; calls may be made ahead of their answers and keep their order. After
 * a failure every later call fails too.
 */
export class HashedFile {
  readonly #thread = new Worker(new URL("./hashed_file_worker.ts", import.meta.url).href, { type: "module" });
  readonly #waiting: { resolve: (answer: FileAnswer) => void; reject: (error: unknown) => void }[] = [];
  #failure: Error | undefined;

  private constructor() {
    this.#thread.onmessage = ({ data }: MessageEvent<FileAnswer>) => {
      if (data.failure) this.#fail(Object.assign(new Error(data.failure.message), data.failure));
      else this.#waiting.shift()?.resolve(data);
    };
    this.#thread.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(`The writing thread failed: ${event.message}`));
    };
  }

  /** Creates the file; one that exists is an error. Errors keep the system's `code`. */
  static async create(path: string): Promise<HashedFile> {
    const file = new HashedFile();
    try {
      await file.#ask({ what: "create", path });
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  /** Appends the first `length` bytes of `buffer`; answers the buffer for reuse. */
  async append(buffer: ArrayBuffer, length: number): Promise<ArrayBuffer> {
    return (await this.#ask({ what: "append", buffer, length }, [buffer])).buffer as ArrayBuffer;
  }

  /** Syncs and closes the file; answers its sha256, lower-case hex. */
  async finish(): Promise<string> {
    return (await this.#ask({ what: "finish" })).sha256 as string;
  }

  /** Ends the thread. Without `finish` before, the file is not whole. */
  close(): void {
    this.#thread.terminate();
  }

  #ask(request: FileRequest, transfer: Transferable[] = []): Promise<FileAnswer> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#thread.postMessage(request, transfer);
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
  }
}
