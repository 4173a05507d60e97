import { TRANSFER_BYTES } from "../core/bytes.ts";
import { ChildSignals, readUntilExit } from "./child_streams.ts";
import { commandFailed, commandStopped } from "./command_error.ts";
import { LogTail } from "./log_tail.ts";
import type { Argv, CommandEnd, FilterProcess } from "./runner.ts";

/** Bytes of one write: a 64 KiB pipe moves most when no transfer fills it. */
const PIECE_BYTES = 16 * 1024;

/** Milliseconds for a filter that takes no more input to end by itself and say why. */
const LAST_WORDS_WAIT = 5_000;

/** A filter on this machine: bytes in by `write`, bytes out by `onOutput`, one call at a time. */
export class ChildFilter implements FilterProcess {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #signals: ChildSignals;
  readonly #delivered: Promise<void>;
  readonly #gone: Promise<CommandEnd>;
  #failure: { error: unknown } | undefined;
  #stopped: { reason: unknown } | undefined;

  constructor(
    readonly argv: Argv,
    readonly child: Deno.ChildProcess,
    readonly onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ) {
    this.#writer = child.stdin.getWriter();
    this.#writer.closed.catch(() => {}); // told by `write` and `end`
    this.#reader = child.stdout.getReader({ mode: "byob" });
    this.#signals = new ChildSignals(child);
    this.#gone = this.#awaitEnd();
    this.#delivered = this.#deliver();
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
      if (this.#failure || this.#stopped) throw await this.#error();
      try {
        await this.#writer.write(chunk.subarray(start, start + PIECE_BYTES));
      } catch {
        throw await this.#error();
      }
    }
  }

  async end(): Promise<void> {
    // Only `close` tells whether all input was taken: a write that met the broken pipe resolves.
    const taken = await this.#writer.close().then(() => true, () => false);
    if (!taken || this.#failure || this.#stopped) throw await this.#error();
    await this.#delivered;
    const end = await this.#gone;
    if (this.#failure || this.#stopped || end.status !== 0) throw await this.#error();
  }

  async cancel(reason: unknown): Promise<void> {
    this.#stopped ??= { reason };
    this.#signals.kill();
    await this.#gone;
    await this.#free();
  }

  async #deliver(): Promise<void> {
    let buffer = new ArrayBuffer(TRANSFER_BYTES);
    try {
      for (;;) {
        const { value, done } = await this.#reader.read(new Uint8Array(buffer));
        if (done || this.#stopped) return;
        await this.onOutput(value);
        buffer = value.buffer;
      }
    } catch (error) {
      this.#failure = { error };
      this.#signals.kill();
    }
  }

  async #awaitEnd(): Promise<CommandEnd> {
    const log = new LogTail();
    await readUntilExit(this.child.stderr, this.child.status, (chunk) => log.push(chunk));
    const { code } = await this.child.status;
    log.end();
    return { status: code, logTail: log.toString() };
  }

  /** Why nothing more can be written, once the child is gone. */
  async #error(): Promise<unknown> {
    const kill = setTimeout(() => this.#signals.kill(), LAST_WORDS_WAIT);
    const end = await this.#gone;
    clearTimeout(kill);
    await this.#free();
    if (this.#failure) return this.#failure.error;
    if (this.#stopped) return commandStopped(this.argv, end, this.#stopped.reason);
    if (end.status !== 0) return commandFailed(this.argv, end);
    return commandFailed(this.argv, end, "it ended before it took all its input");
  }

  // An aborted stdin looks like the good end of the input to a child: only after the child's exit.
  async #free(): Promise<void> {
    await this.#writer.abort().catch(() => {});
    await this.#reader.cancel().catch(() => {});
  }
}
