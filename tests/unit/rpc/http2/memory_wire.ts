import type { Wire } from "../../../../src/rpc/http2/wire.ts";
import { concat } from "./bytes.ts";

/** Turns of the loop that a write takes. */
const TURNS = 20;

/** A wire in memory: the test is the other end. */
export class MemoryWire implements Wire {
  #input: Uint8Array[] = [];
  #ended = false;
  #reading: PromiseWithResolvers<void> | undefined;
  #output: Uint8Array[] = [];
  #arrival: PromiseWithResolvers<void> | undefined;
  /** While it is there, a write takes nothing. */
  #dam: PromiseWithResolvers<void> | undefined;
  /** The largest number of bytes that one write had. */
  largestWrite = 0;

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    while (this.#input.length === 0) {
      if (this.#ended) return null;
      this.#reading = Promise.withResolvers();
      await this.#reading.promise;
    }
    const first = this.#input[0]!;
    const bytes = first.subarray(0, view.length);
    view.set(bytes);
    if (bytes.length < first.length) this.#input[0] = first.subarray(bytes.length);
    else this.#input.shift();
    return view.subarray(0, bytes.length);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#dam?.promise;
    // A pipe takes bytes when it has room, not when it is asked: what changes them meanwhile shows.
    for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
    this.largestWrite = Math.max(this.largestWrite, bytes.length);
    this.#output.push(bytes.slice());
    this.#arrival?.resolve();
  }

  /** Bytes for the server. */
  send(bytes: Uint8Array): void {
    this.#input.push(bytes);
    this.#reading?.resolve();
  }

  /** The end of the server's input. */
  end(): void {
    this.#ended = true;
    this.#reading?.resolve();
  }

  /** From now on the server's writes wait. */
  dam(): void {
    this.#dam ??= Promise.withResolvers();
  }

  /** The waiting write goes on, and all later ones; with an error, it fails. */
  release(error?: Error): void {
    if (error) this.#dam?.reject(error);
    else this.#dam?.resolve();
    if (!error) this.#dam = undefined;
  }

  /** What the server has sent since the last call. */
  takeOutput(): Uint8Array {
    const all = concat(...this.#output);
    this.#output = [];
    return all;
  }

  /** Waits until the server sends something. */
  async arrival(): Promise<void> {
    if (this.#output.length > 0) return;
    this.#arrival = Promise.withResolvers();
    await this.#arrival.promise;
  }
}
