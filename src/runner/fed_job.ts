import { messageOf } from "../core/errors.ts";
import {
  commandCutOff,
  commandFailed,
  commandNotStarted,
  commandStopped,
  STATUS_UNKNOWN,
} from "./command_error.ts";
import type { JobLimits } from "./guard.ts";
import type { GuardProcess } from "./guarded_job.ts";
import type { ChannelEnd } from "./remote/channel.ts";
import type { Argv, CommandEnd, JobSink } from "./runner.ts";

/** Milliseconds that a job may outlive the pipe that it does not read any more. */
const LAST_WAIT = 5_000;

/** A write end of the pipe that feeds a job. Its own end tells the job nothing, see `feed_guard.ts`. */
export interface JobInput {
  /** Settles when all of `chunk` is in the pipe, or on a way that has back-pressure. */
  write(chunk: Uint8Array): Promise<void>;
  /** Settles when all that was written is in the pipe. */
  close(): Promise<void>;
  /** Lets go, whatever is still on its way. */
  abort(): void;
}

/** A job that is fed, under its guard. */
export class FedJob implements JobSink {
  #killing: { reason: unknown; done: Promise<CommandEnd> } | undefined;
  #over: Promise<{ end: CommandEnd; lost?: Error }> | undefined;

  private constructor(
    readonly argv: Argv,
    readonly guard: GuardProcess,
    readonly input: JobInput,
    readonly limits: Pick<JobLimits, "patience">,
  ) {}

  /** Has a guard start its job once its input is open; `open` is told whose descriptor to open, see `FEED_JOB`. */
  static async start(
    argv: Argv,
    guard: GuardProcess,
    limits: Pick<JobLimits, "patience">,
    open: (pid: number) => Promise<JobInput>,
  ): Promise<FedJob> {
    try {
      const pid = await readPid(guard);
      const job = new FedJob(argv, guard, await open(pid), limits);
      guard.say("start");
      return job;
    } catch (error) {
      await guard.release();
      throw commandNotStarted(argv, "status", `it cannot be fed (${messageOf(error)})`, error);
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#killing) return await this.#fail();
    try {
      await this.input.write(chunk);
    } catch (error) {
      await this.#fail(error);
    }
  }

  async end(): Promise<CommandEnd> {
    if (this.#killing) return await this.#fail();
    try {
      await this.input.close();
    } catch (error) {
      return await this.#fail(error);
    }
    this.guard.say("end");
    const { end, lost } = await this.#end();
    if (lost) throw commandCutOff(this.argv, end, lost);
    return end;
  }

  kill(reason: unknown): Promise<CommandEnd> {
    this.#killing ??= { reason, done: this.#kill() };
    return this.#killing.done;
  }

  logTail(): string {
    return this.guard.logTail();
  }

  /** The job takes no more: says why. One that goes on although `cause` keeps its input from it is killed. */
  async #fail(cause?: unknown): Promise<never> {
    const isGone = this.#killing || await within(LAST_WAIT, this.guard.exited);
    if (!isGone) void this.kill(cause);
    await this.#killing?.done;
    const { end, lost } = await this.#end();
    if (lost) throw commandCutOff(this.argv, end, lost);
    if (this.#killing) throw commandStopped(this.argv, end, this.#killing.reason);
    throw commandFailed(this.argv, end);
  }

  async #kill(): Promise<CommandEnd> {
    this.guard.say("kill");
    // Our own end of the pipe goes last: were the guard not there, the job would take that for the end of its input.
    await within(this.limits.patience + LAST_WAIT, this.guard.exited);
    return (await this.#end(true)).end;
  }

  #end(isGivenUp = false): Promise<{ end: CommandEnd; lost?: Error }> {
    return this.#over ??= (async () => {
      const unknown = { status: STATUS_UNKNOWN };
      const known = isGivenUp ? await within(0, this.guard.exited) : await this.guard.exited;
      this.input.abort();
      const logTail = await this.guard.release();
      const end: ChannelEnd = known ?? unknown;
      return "lost" in end
        ? { end: { ...unknown, logTail }, lost: end.lost }
        : { end: { status: end.status, logTail } };
    })();
  }
}

/** The first line that the guard of a fed job says. */
async function readPid({ output }: GuardProcess): Promise<number> {
  let said = "";
  while (!said.endsWith("\n")) {
    const chunk = await output.read(new Uint8Array(32));
    if (chunk.length === 0) throw new Error("its guard did not start");
    said += new TextDecoder().decode(chunk);
  }
  return Number(said);
}

/** What `promise` settles with, `undefined` where that takes longer than so many milliseconds. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) =>
    timer = setTimeout(() => resolve(undefined), milliseconds)
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
