import { type ByteSource, TRANSFER_BYTES } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import { ChildFilter } from "./child_filter.ts";
import { commandNotStarted, STATUS_UNKNOWN } from "./command_error.ts";
import {
  dirGuardArgs,
  finishGuardArgs,
  type GuardWord,
  JOB_LIMITS,
  type JobLimits,
  readGuardArgs,
  stoppableGuardArgs,
} from "./guard.ts";
import { GuardedJob, type GuardProcess } from "./guarded_job.ts";
import { JobLog } from "./job_log.ts";
import { LocalFiles } from "./local_files.ts";
import type {
  Argv,
  CommandEnd,
  CommandOutput,
  FilterProcess,
  JobOptions,
  JobSource,
  NodeFiles,
  Runner,
  RunOptions,
} from "./runner.ts";
import { collectOutput } from "./short_command.ts";
import { findTool, searchPath } from "./tool_path.ts";

export interface LocalRunnerOptions {
  /** Environment of the commands, over ours; its `PATH` is where they are looked up. */
  env?: Readonly<Record<string, string>>;
  limits?: Partial<JobLimits>;
}

type Stdio = Pick<Deno.CommandOptions, "stdin" | "stdout" | "stderr">;

/** Reaches the node that this program runs on. */
export class LocalRunner implements Runner {
  readonly label = "this machine";
  readonly files: NodeFiles = new LocalFiles();
  readonly #limits: JobLimits;
  readonly #env: Record<string, string>;
  readonly #path: string;

  constructor(options: LocalRunnerOptions = {}) {
    this.#limits = { ...JOB_LIMITS, ...options.limits };
    this.#path = searchPath(options.env?.PATH ?? Deno.env.get("PATH"));
    // A fixed locale, since messages of the tools are read by us.
    this.#env = { ...options.env, PATH: this.#path, LC_ALL: "C" };
  }

  async hasTool(program: string): Promise<boolean> {
    return await findTool([program], this.#path).then(() => true, () => false);
  }

  async run(argv: Argv, options: RunOptions = {}): Promise<CommandOutput> {
    const tool = await findTool(argv, this.#path);
    const child = this.#spawn(argv, [...await this.#holding(options.hold), tool, ...argv.slice(1)], {
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    return await collectOutput(argv, child, options);
  }

  async read(argv: Argv, options: JobOptions): Promise<JobSource> {
    const guard = await this.#guard(argv, options, { stdin: "piped", stdout: "piped" }, (log, command) => {
      return readGuardArgs(log, this.#limits, command);
    });
    return new GuardedJob(argv, new LocalGuard(guard.child, guard.log), this.#limits);
  }

  async finish(argv: Argv, options: JobOptions & { stop?: AbortSignal }): Promise<CommandEnd> {
    const { stop } = options;
    stop?.throwIfAborted();
    if (stop) return await this.#finishUnlessStopped(argv, options, stop);
    const stdio = { stdin: "null", stdout: "null" } as const;
    const { child, log } = await this.#guard(argv, options, stdio, finishGuardArgs);
    const { code } = await child.status;
    return { status: code, logTail: log.end() };
  }

  async filter(
    argv: Argv,
    onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ): Promise<FilterProcess> {
    const tool = await findTool(argv, this.#path);
    const stdio = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    return new ChildFilter(argv, this.#spawn(argv, [tool, ...argv.slice(1)], stdio), onOutput);
  }

  async #finishUnlessStopped(argv: Argv, options: JobOptions, stop: AbortSignal): Promise<CommandEnd> {
    const stdio = { stdin: "piped", stdout: "null" } as const;
    const { child, log } = await this.#guard(argv, options, stdio, (path, command) => {
      return stoppableGuardArgs(path, this.#limits, command);
    });
    const stdin = child.stdin.getWriter();
    const givenUp = Promise.withResolvers<{ code: number }>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onStop = () => {
      say(stdin, "stop");
      timer = setTimeout(() => givenUp.resolve({ code: STATUS_UNKNOWN }), this.#limits.drain);
    };
    if (stop.aborted) onStop();
    else stop.addEventListener("abort", onStop);
    const { code } = await Promise.race([child.status, givenUp.promise]);
    clearTimeout(timer);
    stop.removeEventListener("abort", onStop);
    await stdin.close().catch(() => {});
    child.unref();
    return { status: code, logTail: log.end() };
  }

  guardDir(dir: string): Promise<{ release(): Promise<void> }> {
    const stdio = { stdin: "piped", stdout: "null", stderr: "null" } as const;
    const child = this.#spawn(["sh"], ["/bin/sh", ...dirGuardArgs(dir)], stdio);
    const stdin = child.stdin.getWriter();
    child.unref();
    return Promise.resolve({
      async release() {
        child.ref(); // what is waited for now must keep us alive
        say(stdin, "release");
        await stdin.close().catch(() => {});
        await child.status;
      },
    });
  }

  async #guard(
    argv: Argv,
    options: JobOptions,
    stdio: Stdio,
    args: (log: string, command: readonly string[]) => string[],
  ): Promise<{ child: Deno.ChildProcess; log: JobLog }> {
    const tool = await findTool(argv, this.#path);
    const log = await JobLog.create(options.logDir, options.onLog);
    try {
      const job = [...await this.#holding(options.hold), tool, ...argv.slice(1)];
      const command = ["/bin/sh", ...args(log.path, job)];
      const child = this.#spawn(argv, command, { ...stdio, stderr: "piped" });
      await guardReady(argv, child, stdio);
      return { child, log };
    } catch (error) {
      await log.discard();
      throw error;
    }
  }

  /** What goes before a command that is to hold a file: without a process in between, so that signals reach it. */
  async #holding(file: string | undefined): Promise<string[]> {
    const flock = file === undefined
      ? undefined
      : await findTool(["flock"], this.#path).catch(() => undefined);
    return file === undefined || flock === undefined ? [] : [flock, "--no-fork", "--shared", file];
  }

  // In a session of its own: Ctrl-C on the terminal is for us to act on.
  #spawn(argv: Argv, [program, ...args]: readonly string[], stdio: Stdio): Deno.ChildProcess {
    try {
      return new Deno.Command(program!, { args, env: this.#env, detached: true, ...stdio }).spawn();
    } catch (error) {
      throw commandNotStarted(argv, "not-executable", messageOf(error), error);
    }
  }
}

/** Waits until the guard has opened its log and unlinked it: then its own stderr ends, without a word. */
async function guardReady(argv: Argv, child: Deno.ChildProcess, stdio: Stdio): Promise<void> {
  const complaint = (await new Response(child.stderr).text()).trim();
  if (complaint === "") return;
  if (stdio.stdin === "piped") await child.stdin.close().catch(() => {});
  if (stdio.stdout === "piped") await child.stdout.cancel();
  await child.status;
  throw commandNotStarted(argv, "status", `its log file cannot be prepared (${complaint})`);
}

class LocalGuard implements GuardProcess {
  readonly output: ByteSource;
  readonly status: Promise<number>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;

  constructor(readonly child: Deno.ChildProcess, readonly log: JobLog) {
    this.output = new PipeSource(child.stdout);
    this.status = child.status.then(({ code }) => code);
    this.#stdin = child.stdin.getWriter();
  }

  say(word: GuardWord): void {
    say(this.#stdin, word);
  }

  logTail(): string {
    return this.log.tail();
  }

  async release(): Promise<string> {
    await this.#stdin.close().catch(() => {});
    await this.output.cancel("over");
    this.child.unref();
    return this.log.end();
  }
}

/** Tells the guard a word; one that is gone needs none. */
function say(stdin: WritableStreamDefaultWriter<Uint8Array>, word: GuardWord | "release"): void {
  stdin.closed.catch(() => {});
  stdin.write(new TextEncoder().encode(`${word}\n`)).catch(() => {});
}

class PipeSource implements ByteSource {
  readonly #reader: ReadableStreamBYOBReader;

  constructor(stream: Deno.ChildProcess["stdout"]) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const length = Math.min(view.byteLength, TRANSFER_BYTES);
    const { value } = await this.#reader.read(new Uint8Array(view.buffer, view.byteOffset, length));
    return value ?? new Uint8Array(0); // nothing comes back from a stream that was cancelled
  }

  cancel(reason: unknown): Promise<void> {
    return this.#reader.cancel(reason).catch(() => {});
  }
}
