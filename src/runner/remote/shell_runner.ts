import { CommandFilter } from "../command_filter.ts";
import { FedJob } from "../fed_job.ts";
import { JOB_LIMITS, type JobLimits, seconds } from "../guard.ts";
import { finishJob, GuardedJob } from "../guarded_job.ts";
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
} from "../runner.ts";
import { collectOutput } from "../short_command.ts";
import type { Channel, Channels } from "./channel.ts";
import { FEED, FIND, FINISH, FINISH_OR_STOP, GUARD_DIR, PASS, READ } from "./programs.ts";
import { RemoteFilter, startShort, startTool } from "./remote_command.ts";
import { RemoteFiles } from "./remote_files.ts";
import { RemoteInput } from "./remote_input.ts";
import { RemoteGuard } from "./remote_job.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";

export interface ShellRunnerOptions {
  /** Whether everything runs as root by `sudo -n`. */
  sudo?: boolean;
  limits?: Partial<JobLimits>;
}

/**
 * Reaches a node by channels, with nothing there but sh, coreutils, findutils and util-linux. A backup takes up to
 * four channels for long (the owner's lock, a guarded directory, the dump or what is fed, a file that is written), and one or two
 * more for moments: sshd gives ten to a connection (sshd_config(5), MaxSessions).
 */
export class ShellRunner implements Runner {
  readonly label: string;
  readonly files: NodeFiles;
  readonly #reach: Reach;
  readonly #limits: JobLimits;

  constructor(channels: Channels, options: ShellRunnerOptions = {}) {
    this.label = channels.label;
    this.#reach = { channels, sudo: options.sudo ?? false };
    this.#limits = { ...JOB_LIMITS, ...options.limits };
    this.files = new RemoteFiles(this.#reach);
  }

  /** Rejects when the node cannot be asked. */
  async hasTool(program: string): Promise<boolean> {
    const answer = await RemoteProgram.start(this.#reach, { text: FIND, args: [program] }, () => {});
    await answer.release();
    return answer.greeting.word === "ready";
  }

  async run(argv: Argv, options: RunOptions = {}): Promise<CommandOutput> {
    return await collectOutput(argv, options, (sinks) => {
      return startShort(this.#reach, argv, options.hold ?? "", sinks);
    });
  }

  async read(argv: Argv, options: JobOptions): Promise<JobSource> {
    return new GuardedJob(argv, await this.#guard(READ, argv, options), this.#limits);
  }

  async finish(argv: Argv, options: JobOptions & { stop?: AbortSignal }): Promise<CommandEnd> {
    const { stop } = options;
    stop?.throwIfAborted();
    const guard = await this.#guard(stop ? FINISH_OR_STOP : FINISH, argv, options);
    return await finishJob(guard, this.#limits, stop);
  }

  async feed(argv: Argv, options: JobOptions): Promise<JobSink> {
    const guard = await this.#guard(FEED, argv, options);
    return await FedJob.start(argv, guard, this.#limits, (pid) => RemoteInput.open(this.#reach, pid));
  }

  async filter(
    argv: Argv,
    onOutput: (chunk: Uint8Array) => void | Promise<void>,
  ): Promise<FilterProcess> {
    return new CommandFilter(argv, await RemoteFilter.start(this.#reach, argv), onOutput);
  }

  async guardDir(dir: string): Promise<{ release(): Promise<void> }> {
    const guard = await RemoteProgram.start(this.#reach, { text: GUARD_DIR, args: [dir] }, () => {});
    return {
      async release() {
        await guard.write(new TextEncoder().encode("release\n")).catch(() => {});
        await guard.release();
      },
    };
  }

  /**
   * A command with all three streams on a channel of its own: what carries channels further, such as `ssh`. It ends
   * by the end of its stdin.
   *
   * @throws {CommandError} when there is no such tool
   */
  start(argv: Argv, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    return startTool(this.#reach, argv, { text: PASS, args: argv }, onStderr);
  }

  close(): Promise<void> {
    return this.#reach.channels.close();
  }

  #guard(text: string, argv: Argv, { logDir, hold, onLog }: JobOptions): Promise<RemoteGuard> {
    const { grace, patience } = this.#limits;
    const log = `${logDir}/${crypto.randomUUID()}.log`;
    const args = [log, seconds(grace), seconds(patience), hold ?? "", ...argv];
    return RemoteGuard.start(this.#reach, argv, { text, args }, onLog);
  }
}
