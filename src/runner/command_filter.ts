import { type ByteSource, drain } from "../core/bytes.ts";
import { commandCutOff, commandFailed, commandStopped, STATUS_UNKNOWN } from "./command_error.ts";
import type { ChannelEnd } from "./remote/channel.ts";
import type { Argv, CommandEnd, FilterProcess } from "./runner.ts";

/** Milliseconds for a filter that takes no more input to end by itself and say why. */
const LAST_WORDS_WAIT = 5_000;

/** A filter at work, however it is reached. */
export interface RunningFilter {
  readonly output: ByteSource;
  /** How it ended, with all it said on stderr; never rejects. */
  readonly gone: Promise<{ ended: ChannelEnd; logTail: string }>;
  /** May resolve though the bytes were lost: `endInput` tells. */
  write(chunk: Uint8Array): Promise<void>;
  /** Settles with whether all input was taken, as far as that is known before the filter's end. */
  endInput(): Promise<boolean>;
  /** SIGKILL. */
  kill(): void;
  /** Lets go of it once it is gone. */
  release(): Promise<void>;
}

/** Bytes in by `write`, bytes out by `onOutput`, one call at a time. */
export class CommandFilter implements FilterProcess {
  readonly #delivered: Promise<void>;
  readonly #gone: Promise<CommandEnd>;
  #failure: { error: unknown } | undefined;
  #stopped: { reason: unknown } | undefined;
  #lost: Error | undefined;

  constructor(
    readonly argv: Argv,
    readonly filter: RunningFilter,
    readonly onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ) {
    this.#gone = filter.gone.then(({ ended, logTail }) => {
      if ("status" in ended) return { status: ended.status, logTail };
      this.#lost = ended.lost;
      return { status: STATUS_UNKNOWN, logTail };
    });
    this.#delivered = this.#deliver();
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#failure || this.#stopped) throw await this.#error();
    try {
      await this.filter.write(chunk);
    } catch {
      throw await this.#error();
    }
  }

  async end(): Promise<void> {
    const taken = await this.filter.endInput();
    if (!taken || this.#failure || this.#stopped) throw await this.#error();
    await this.#delivered;
    const end = await this.#gone;
    if (this.#failure || this.#stopped || end.status !== 0) throw await this.#error();
  }

  async cancel(reason: unknown): Promise<void> {
    this.#stopped ??= { reason };
    this.filter.kill();
    await this.#gone;
    await this.filter.release();
  }

  // To the end, also when nobody wants it any more: over SSH the end of a command waits for its output to be taken.
  // To the end in any case: output that nobody takes may keep the end of a filter on a node from us.
  async #deliver(): Promise<void> {
    await drain(this.filter.output, async (chunk) => {
      if (this.#stopped || this.#failure) return;
      try {
        await this.onOutput(chunk);
      } catch (error) {
        this.#failure = { error };
        this.filter.kill();
      }
    });
  }

  /** Why nothing more can be written, once the filter is gone. */
  async #error(): Promise<unknown> {
    const kill = setTimeout(() => this.filter.kill(), LAST_WORDS_WAIT);
    const end = await this.#gone;
    clearTimeout(kill);
    await this.filter.release();
    if (this.#failure) return this.#failure.error;
    if (this.#stopped) return commandStopped(this.argv, end, this.#stopped.reason, this.#lost);
    if (this.#lost) return commandCutOff(this.argv, end, this.#lost);
    if (end.status !== 0) return commandFailed(this.argv, end);
    return commandFailed(this.argv, end, "it ended before it took all its input");
  }
}
