import { type ByteSource, bytesSource } from "../core/bytes.ts";
import { messageOf } from "../core/errors.ts";
import { ChildFilter } from "./child_filter.ts";
import { shortChild } from "./child_streams.ts";
import { commandNotStarted } from "./command_error.ts";
import { CommandFilter } from "./command_filter.ts";
import { FedJob } from "./fed_job.ts";
import { feedGuardArgs } from "./feed_guard.ts";
import {
  dirGuardArgs,
  finishGuardArgs,
  type GuardWord,
  intoLog,
  JOB_LIMITS,
  type JobLimits,
  readGuardArgs,
} from "./guard.ts";
import { finishJob, GuardedJob, type GuardProcess } from "./guarded_job.ts";
import { JobLog } from "./job_log.ts";
import { LocalFiles } from "./local_files.ts";
import { LocalInput } from "./local_input.ts";
import { PipeSource } from "./pipe_source.ts";
import type {
  Argv,
  CommandEnd,
  CommandOutput,
  FilterProcess,
  JobOptions,
  JobSink,
  JobSource,
  NodeFiles,
  Runner,
  RunOptions,
} from "./runner.ts";
import { collectOutput } from "./short_command.ts";
import { spawn, type SpawnOptions } from "./spawn.ts";
import { findTool, searchPath } from "./tool_path.ts";

export interface LocalRunnerOptions {
  /** Environment of the commands, over ours; its `PATH` is where they are looked up. */
  env?: Readonly<Record<string, string>>;
  limits?: Partial<JobLimits>;
}

type Stdio = Pick<SpawnOptions, "stdin" | "stdout" | "stderr">;

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
    const command = [...await this.#holding(options.hold), tool, ...argv.slice(1)];
    const stdio = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
    return await collectOutput(argv, options, (sinks) => {
      return Promise.resolve(shortChild(this.#spawn(argv, command, stdio), sinks));
    });
  }

  async read(argv: Argv, options: JobOptions): Promise<JobSource> {
    const guard = await this.#guard(argv, options, { stdin: "piped", stdout: "piped" }, (log, command) => {
      return readGuardArgs(log, this.#limits, command);
    });
    return new GuardedJob(argv, guard, this.#limits);
  }

  async finish(argv: Argv, options: JobOptions & { stop?: AbortSignal }): Promise<CommandEnd> {
    const { stop } = options;
    stop?.throwIfAborted();
    const stdio = { stdin: stop ? "piped" : "null", stdout: "null" } as const;
    const guard = await this.#guard(argv, options, stdio, (log, command) => {
      return stop ? readGuardArgs(log, this.#limits, intoLog(command)) : finishGuardArgs(log, command);
    });
    return await finishJob(guard, this.#limits, stop);
  }

  async feed(argv: Argv, options: JobOptions): Promise<JobSink> {
    const guard = await this.#guard(argv, options, { stdin: "piped", stdout: "piped" }, (log, command) => {
      return feedGuardArgs(log, this.#limits, command);
    });
    return await FedJob.start(argv, guard, this.#limits, (pid) => LocalInput.open(pid));
  }

  async filter(
    argv: Argv,
    onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ): Promise<FilterProcess> {
    const tool = await findTool(argv, this.#path);
    const stdio = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    const child = this.#spawn(argv, [tool, ...argv.slice(1)], stdio);
    return new CommandFilter(argv, new ChildFilter(child), onOutput);
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

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #guard(
    argv: Argv,
    options: JobOptions,
    stdio: Pick<Stdio, "stdin" | "stdout">,
    args: (log: string, command: readonly string[]) => string[],
  ): Promise<LocalGuard> {
    const tool = await findTool(argv, this.#path);
    const log = await JobLog.create(options.logDir, options.onLog);
    try {
      const job = [...await this.#holding(options.hold), tool, ...argv.slice(1)];
      const command = ["/bin/sh", ...args(log.path, job)];
      const child = this.#spawn(argv, command, { ...stdio, stderr: "piped" });
      const guard = new LocalGuard(child, log, stdio);
      await guardReady(argv, guard);
      return guard;
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

  #spawn(argv: Argv, command: readonly string[], stdio: Stdio): Deno.ChildProcess {
    try {
      return spawn(command as unknown as Argv, { env: this.#env, ...stdio });
    } catch (error) {
      throw commandNotStarted(argv, "not-executable", messageOf(error), error);
    }
  }
}

/** Waits until the guard has opened its log and unlinked it: then its own stderr ends, without a word. */
async function guardReady(argv: Argv, guard: LocalGuard): Promise<void> {
  const complaint = (await new Response(guard.child.stderr).text()).trim();
  if (complaint === "") return;
  await guard.child.status;
  await guard.release();
  throw commandNotStarted(argv, "status", `its log file cannot be prepared (${complaint})`);
}

class LocalGuard implements GuardProcess {
  readonly output: ByteSource;
  readonly exited: Promise<{ status: number }>;
  readonly ended: Promise<{ status: number }>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;

  constructor(
    readonly child: Deno.ChildProcess,
    readonly log: JobLog,
    stdio: Pick<Stdio, "stdin" | "stdout">,
  ) {
    this.output = stdio.stdout === "piped" ? new PipeSource(child.stdout) : bytesSource(new Uint8Array(0));
    this.exited = this.ended = child.status.then(({ code }) => ({ status: code }));
    this.#stdin = stdio.stdin === "piped" ? child.stdin.getWriter() : undefined;
  }

  say(word: GuardWord): void {
    if (this.#stdin) say(this.#stdin, word);
  }

  logTail(): string {
    return this.log.tail();
  }

  async release(): Promise<string> {
    await this.#stdin?.close().catch(() => {});
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
