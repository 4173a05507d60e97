import { type ByteSource, TRANSFER_BYTES } from "../core/bytes.ts";
import { commandCutOff, commandFailed, commandStopped, STATUS_UNKNOWN } from "./command_error.ts";
import type { GuardWord, JobLimits } from "./guard.ts";
import type { ChannelEnd } from "./remote/channel.ts";
import type { Argv, CommandEnd, JobSource } from "./runner.ts";

/**
 * Milliseconds before the stdout of a job that is to stop is drained. Until then one with more to write waits at its
 * full pipe, where the guard's look at its log and the SIGTERM after it find it: not in its cleanup, which that would cut.
 */
const STOP_LEAD = 300;

/** Milliseconds that a guard may outlive the stdout that we closed under its job. */
const LAST_WAIT = 10_000;

/** The process of a guard at work, however it is reached. */
export interface GuardProcess {
  /**
   * The job's stdout as it comes: its end says nothing about success. `cancel` closes the pipe at once and
   * ends a pending read.
   */
  readonly output: ByteSource;
  /** How the guard ended, as soon as that is known: its job's output may still be on its way. Never rejects. */
  readonly exited: Promise<ChannelEnd>;
  /** How the guard ended once no output is missing; comes after the end of `output`, and never rejects. */
  readonly ended: Promise<ChannelEnd>;
  /** One line on the guard's stdin; a guard that is gone is fine. */
  say(word: GuardWord): void;
  /** The last lines of the job's log so far. */
  logTail(): string;
  /** Takes the rest of the log and lets go of the process, also of one that still runs. Called once. */
  release(): Promise<string>;
}

/** A job under its guard, as a stream that ends well only if the job did. */
export class GuardedJob implements JobSource {
  #pull: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #flowing = false;
  #exited = false;
  #leftBehind = false;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;
  #stopping: { reason: unknown; done: Promise<void> } | undefined;
  #lost: Error | undefined;
  #ending: Promise<CommandEnd> | undefined;
  readonly #givenUp = Promise.withResolvers<undefined>();

  constructor(readonly argv: Argv, readonly guard: GuardProcess, readonly limits: JobLimits) {
    guard.exited.then(() => {
      this.#exited = true;
      if (this.#pull) this.#armLinger();
    });
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const chunk = this.#ending || this.#stopping ? view.subarray(0, 0) : await this.#take(view);
    if (chunk.length > 0 && !this.#stopping) return chunk;
    await this.#stopping?.done;
    const end = await this.#end();
    if (this.#stopping) throw commandStopped(this.argv, end, this.#stopping.reason, this.#lost);
    if (this.#leftBehind) {
      throw commandFailed(this.argv, end, "a process that it left behind keeps its output open");
    }
    if (this.#lost) throw commandCutOff(this.argv, end, this.#lost);
    if (end.status !== 0) throw commandFailed(this.argv, end);
    return chunk;
  }

  /** Ends within `limits.drain` and some seconds; of a job that even then goes on, the error of `read` says so. */
  cancel(reason: unknown): Promise<void> {
    if (this.#stopping) return this.#stopping.done;
    if (this.#ending && this.#exited) return this.#ending.then(() => {});
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stopping = { reason, done: promise };
    this.#stop().then(resolve, resolve);
    return promise;
  }

  logTail(): string {
    return this.guard.logTail();
  }

  async #take(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    this.#pull = this.guard.output.read(view);
    if (this.#exited) this.#armLinger();
    try {
      const chunk = await this.#pull;
      if (chunk.length > 0 && !this.#flowing) {
        this.#flowing = true;
        this.guard.say("bytes");
      }
      return chunk;
    } finally {
      this.#pull = undefined;
      clearTimeout(this.#lingerTimer);
    }
  }

  // Proxmox's tools need one SIGTERM and an open stdout to clean up whole; a stdout that nobody reads blocks them.
  async #stop(): Promise<void> {
    this.guard.say("stop");
    let giveUp: ReturnType<typeof setTimeout> | undefined;
    let lead: ReturnType<typeof setTimeout> | undefined;
    const closeOutput = setTimeout(() => {
      void this.guard.output.cancel(this.#stopping?.reason);
      const wait = Math.min(LAST_WAIT, this.limits.drain);
      giveUp = setTimeout(() => this.#givenUp.resolve(undefined), wait);
    }, this.limits.drain);
    try {
      await Promise.race([
        this.guard.exited,
        new Promise((resolve) => lead = setTimeout(resolve, STOP_LEAD)),
      ]);
      await this.#pull?.catch(() => {});
      let buffer = new ArrayBuffer(TRANSFER_BYTES);
      for (;;) {
        const chunk = await this.#take(new Uint8Array(buffer));
        if (chunk.length === 0) break;
        buffer = chunk.buffer;
      }
      await this.#end();
    } finally {
      clearTimeout(lead);
      clearTimeout(closeOutput);
      clearTimeout(giveUp);
    }
  }

  #end(): Promise<CommandEnd> {
    return this.#ending ??= (async () => {
      const { exited, ended } = this.guard;
      const end = await Promise.race([this.#leftBehind ? exited : ended, this.#givenUp.promise]);
      if (end && "lost" in end) this.#lost = end.lost;
      return { status: statusOf(end), logTail: await this.guard.release() };
    })();
  }

  // Once the job is gone, its pipe ends at once unless a process it started holds it too.
  #armLinger(): void {
    this.#lingerTimer = setTimeout(() => {
      this.#leftBehind = true;
      void this.guard.output.cancel("left behind");
    }, this.limits.linger);
  }
}

/** Waits for a job whose stdout goes to its log; `stop` is handed on to its guard. */
export async function finishJob(
  guard: Pick<GuardProcess, "exited" | "say" | "release">,
  limits: Pick<JobLimits, "drain">,
  stop?: AbortSignal,
): Promise<CommandEnd> {
  const givenUp = Promise.withResolvers<undefined>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onStop = () => {
    guard.say("stop");
    timer = setTimeout(() => givenUp.resolve(undefined), limits.drain);
  };
  if (stop?.aborted) onStop();
  else stop?.addEventListener("abort", onStop);
  const end = await Promise.race([guard.exited, givenUp.promise]);
  clearTimeout(timer);
  stop?.removeEventListener("abort", onStop);
  return { status: statusOf(end), logTail: await guard.release() };
}

function statusOf(end: ChannelEnd | undefined): number {
  return end && "status" in end ? end.status : STATUS_UNKNOWN;
}
