import { Buffer } from "node:buffer";
import { constants } from "node:os";
import type { ByteSource } from "../../core/bytes.ts";
import type { Channel, ChannelEnd } from "../remote/channel.ts";
import type { LibraryChannel } from "./library.ts";
import { PushedSource } from "./pushed_source.ts";

/**
 * Bytes of stdout that are kept once the command has ended. ssh2 tells of a channel's close only after its data
 * was read; what one window and ssh2's own buffer can still hold (2 MiB each) must not keep the end from us.
 */
const REST_OF_OUTPUT = 8 * 1024 * 1024;

/** A command on an ssh2 channel. Made in the very callback that brings the channel, or its events are missed. */
export class CommandChannel implements Channel {
  readonly output: ByteSource;
  readonly ended: Promise<ChannelEnd>;
  /** Settles when the node has let go of the channel too: only then it takes another one in its place. */
  readonly freed: Promise<void>;
  readonly #channel: LibraryChannel;
  readonly #output: PushedSource;
  readonly #end = Promise.withResolvers<ChannelEnd>();
  readonly #freed = Promise.withResolvers<void>();
  readonly #writes = new Set<(reason: unknown) => void>();
  #status: number | undefined;
  /** Why nothing can be written any more. */
  #inputGone: Error | undefined;

  constructor(channel: LibraryChannel, readonly label: string, onStderr: (chunk: Uint8Array) => void) {
    this.#channel = channel;
    this.ended = this.#end.promise;
    this.freed = this.#freed.promise;
    this.output = this.#output = new PushedSource({
      pause: () => channel.pause(),
      resume: () => channel.resume(),
      cancel: () => this.close(),
    });
    channel.on("data", (chunk: Uint8Array) => this.#output.push(chunk));
    channel.on("end", () => this.#output.end());
    channel.on("exit", (status: number | null, signal?: string) => this.#onExit(status, signal));
    const stderrEnded = new Promise<void>((resolve) => channel.stderr.on("end", () => resolve()));
    channel.stderr.on("data", onStderr);
    channel.on("close", () => void stderrEnded.then(() => this.#onClose()));
    // Without listeners an error of a stream would end the program; the connection tells of it too.
    channel.on("error", (error: Error) => this.lose(error));
    channel.stderr.on("error", (error: Error) => this.lose(error));
  }

  write(chunk: Uint8Array): Promise<void> {
    if (this.#inputGone) return Promise.reject(this.#inputGone);
    if (chunk.byteLength === 0) return Promise.resolve();
    return this.#passOn((done) => {
      // ssh2 has copied all of it into packets when it calls back; before, it may keep the rest for the window.
      this.#channel.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), done);
    });
  }

  closeInput(): Promise<void> {
    if (this.#inputGone) {
      return this.#status === undefined ? Promise.reject(this.#inputGone) : Promise.resolve();
    }
    return this.#passOn((done) => this.#channel.end(done));
  }

  close(): void {
    this.lose(new Error(`The command on "${this.label}" was given up`));
    this.#channel.close();
    // ssh2 tells that the node let go only when all that it sent was read.
    this.#channel.resume();
  }

  /** The way to the node is gone: `ended` is lost unless the end was known. */
  lose(error: Error): void {
    this.#dropInput(error);
    this.#end.resolve({ lost: error });
    this.#output.fail(error);
  }

  /** The connection is gone, and the channel with it. */
  disconnect(error: Error): void {
    this.lose(error);
    this.#freed.resolve();
  }

  #onExit(status: number | null, signal: string | undefined): void {
    this.#status = status ?? 128 + signalNumber(signal);
    this.#output.allow(REST_OF_OUTPUT);
  }

  #onClose(): void {
    this.#freed.resolve();
    if (this.#status === undefined) {
      return this.lose(
        new Error(`Lost the command on "${this.label}": its channel closed without an exit status`),
      );
    }
    this.#dropInput(new Error(`The command on "${this.label}" has ended and takes no more input`));
    this.#end.resolve({ status: this.#status });
  }

  #passOn(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.add(reject);
      start((error) => {
        this.#writes.delete(reject);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  #dropInput(reason: Error): void {
    if (this.#inputGone) return;
    this.#inputGone = reason;
    // ssh2 forgets the callbacks of writes that wait for a window.
    for (const reject of this.#writes) reject(reason);
    this.#writes.clear();
  }
}

function signalNumber(name: string | undefined): number {
  return name === undefined ? 0 : constants.signals[name as keyof typeof constants.signals] ?? 0;
}
