import { type ByteSource, TRANSFER_BYTES } from "../core/bytes.ts";

/** What a child writes into a pipe of ours. Its end says nothing about success. */
export class PipeSource implements ByteSource {
  readonly #reader: ReadableStreamBYOBReader;

  constructor(stream: Deno.ChildProcess["stdout"]) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const length = Math.min(view.byteLength, TRANSFER_BYTES);
    const { value } = await this.#reader.read(new Uint8Array(view.buffer, view.byteOffset, length));
    return value ?? new Uint8Array(0); // nothing comes back from a stream that was cancelled
  }

  /** Closes the pipe: what still writes into it gets SIGPIPE. */
  cancel(reason: unknown): Promise<void> {
    return this.#reader.cancel(reason).catch(() => {});
  }
}
