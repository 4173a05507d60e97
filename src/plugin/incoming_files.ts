import type { ByteSource } from "../core/bytes.ts";
import type { Requests } from "../rpc/grpc/methods.ts";
import type { Record } from "./proto/connectors_pb.ts";
import type { ExportRequest } from "./proto/exporter_pb.ts";

/** A file or directory that plakar restores. */
export interface IncomingFile {
  record: Record;
  /** The content, empty for a directory. Read it to its end, or `drain` it, before the next file is asked for. */
  source: ByteSource;
  /** Passes over what is left of the content. Rejects as a read does when the content is cut. */
  drain(): Promise<void>;
}

/**
 * The files that come on one stream, one after the other: a record, its chunks, an empty chunk. A stream that goes
 * on or ends without the empty chunk was cut: such a file's source never ends well.
 */
export async function* incomingFiles(requests: Requests<ExportRequest>): AsyncGenerator<IncomingFile> {
  for (;;) {
    const { value, done } = await requests.next();
    if (done) return;
    if (value.packet.case !== "record") throw new Error("The client sent content that belongs to no file");
    const record = value.packet.value;
    const content = new ChunkSource(record, requests);
    yield { record, source: content, drain: () => content.drain() };
    await content.drain();
  }
}

class ChunkSource implements ByteSource {
  #chunk: Uint8Array = new Uint8Array(0);
  #isOver: boolean;
  #failure: Error | undefined;

  constructor(private readonly record: Record, private readonly requests: Requests<ExportRequest>) {
    this.#isOver = !record.hasReader;
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    await this.#fetch();
    const part = this.#chunk.subarray(0, view.byteLength);
    view.set(part);
    this.#chunk = this.#chunk.subarray(part.byteLength);
    return view.subarray(0, part.byteLength);
  }

  /** Nothing is behind it that could be freed: what is left is passed over before the next file. */
  cancel(): Promise<void> {
    return Promise.resolve();
  }

  async drain(): Promise<void> {
    this.#chunk = new Uint8Array(0);
    for (await this.#fetch(); this.#chunk.byteLength > 0; await this.#fetch()) {
      this.#chunk = new Uint8Array(0);
    }
  }

  async #fetch(): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#isOver || this.#chunk.byteLength > 0) return;
    const { value, done } = await this.requests.next();
    if (done || value.packet.case !== "chunk") {
      this.#failure = new Error(
        `The content of "${this.record.pathname}" was cut: its end mark did not come`,
      );
      throw this.#failure;
    }
    this.#chunk = value.packet.value;
    this.#isOver = this.#chunk.byteLength === 0;
  }
}
