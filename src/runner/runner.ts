import type { ByteSource } from "../core/bytes.ts";

/** Program and arguments; never a shell string. */
export type Argv = readonly [string, ...string[]];

/**
 * How a command ended. `status` is the exit code, 128 + signal number, or -1 when nobody knows: we gave up on it
 * while it ran, or the way to its node was lost.
 */
export interface CommandEnd {
  status: number;
  /** The last lines of what it said on its log stream, at most 64 KiB, made valid UTF-8. */
  logTail: string;
}

/** A command that did not end well: not found, not executable, wrong status, time limit, stopped, or cut off. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  constructor(
    message: string,
    readonly argv: Argv,
    readonly reason: "not-found" | "not-executable" | "status" | "timeout" | "stopped" | "connection",
    readonly end: CommandEnd,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a short command said. */
export interface CommandOutput extends CommandEnd {
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Milliseconds until the command is stopped (TERM, then KILL) and the call rejects with reason `timeout`. Default 60,000. */
  timeout?: number;
  /** Exit statuses that are an answer, not a failure. Default `[0]`. */
  accept?: readonly number[];
  /** Bytes of stdout to keep; more is a rejection. Default 16 MiB. */
  maxOutput?: number;
  /** As in `JobOptions`. */
  hold?: string | undefined;
}

/** Where a job's log goes while it runs, and what it may do when we are gone. */
export interface JobOptions {
  /**
   * Directory for the log file, which is unlinked as soon as the guard has opened it. Must exist.
   */
  logDir: string;
  /** A file that the job holds a shared flock on as long as any process of it lives; see `Runner.guardDir`. */
  hold?: string;
  /** Called with each whole log line as it appears (within half a second). Must not throw. */
  onLog?: (line: string) => void;
}

/** Bytes that a job writes on stdout. Its `read` answers the good end only after exit status 0. */
export interface JobSource extends ByteSource {
  /**
   * Stops the job: one SIGTERM by the guard, stdout drained until it ends, then rejects pending and later reads.
   * Settles when the job is gone (bounded, see the implementation).
   */
  cancel(reason: unknown): Promise<void>;
  /** What the job has said so far, bounded as in `CommandEnd`. */
  logTail(): string;
}

/** Bytes that a job reads on stdin. It gets the end of its input by `end` alone: never by our death or a lost way. */
export interface JobSink {
  /**
   * Settles when `chunk` was handed on; its buffer may be reused then.
   *
   * @throws {CommandError} once the job has ended or was killed; says why
   */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * The input is whole: waits for the job's end whatever the status, and leaves it to finish when we die. Status 0
   * only when the job took all of its input.
   *
   * @throws {CommandError} when what was written before did not all reach the job, which was killed then; when the way
   * to it was lost, after which it may go on with all of its input
   */
  end(): Promise<CommandEnd>;
  /**
   * The input will never be whole: one SIGTERM, after a limit SIGKILL for all that read the input. Pending and later
   * writes reject with `reason`. Settles when the job is gone (bounded); its status proves nothing. Safe to repeat.
   */
  kill(reason: unknown): Promise<CommandEnd>;
  /** What the job has said so far, bounded as in `CommandEnd`. */
  logTail(): string;
}

/** A filter: bytes in by `write`, bytes out by a callback. See `Decoder` in the archive room. */
export interface FilterProcess {
  write(chunk: Uint8Array): Promise<void>;
  end(): Promise<void>;
  cancel(reason: unknown): Promise<void>;
}

/** How a node is reached. Every process of a node is started here. */
export interface Runner {
  /** What to call this way of reaching a node in messages: `this machine`, `root@pve1`. */
  readonly label: string;

  /** Whether a program is there to be run. */
  hasTool(program: string): Promise<boolean>;

  /** Runs a short command to its end with bounded output, stdin empty, and answers what it said. */
  run(argv: Argv, options?: RunOptions): Promise<CommandOutput>;

  /**
   * Starts a dump (vzdump) under the guard: it gets one SIGTERM when we cancel, and ends by itself when we die.
   * Rejects when the command cannot be started.
   */
  read(argv: Argv, options: JobOptions): Promise<JobSource>;

  /**
   * Runs a job under the guard whose stdout and stderr both are its log. Without `stop` (qmrestore, pct
   * restore) it is never interrupted: there is no cancel, and it is left to finish when we die. With `stop`
   * (vzdump into a file) it gets one SIGTERM when the signal aborts, and one after a grace when we die.
   * Settles with its end whatever the status; rejects only when it could not be started.
   */
  finish(argv: Argv, options: JobOptions & { stop?: AbortSignal }): Promise<CommandEnd>;

  /**
   * Starts a job under the guard that is fed (`qmrestore -`), with stdout and stderr as its log. When we die, or the
   * way to the node is lost, before its input is whole, it is killed as by `kill`.
   * Rejects when it could not be started.
   */
  feed(argv: Argv, options: JobOptions): Promise<JobSink>;

  /** Starts a filter such as `zstd -d -c`; it dies with us. */
  filter(argv: Argv, onOutput: (chunk: Uint8Array) => void | Promise<void>): Promise<FilterProcess>;

  /**
   * Sees to it that `dir`, which this run made, goes away with all in it when we die without a word: as soon as no
   * job holds its file `busy` any more. A restore tool that is left to finish keeps its archive that way. Before
   * that, the guest is started that a file `restart` in it names, by two lines: `qm` or `pct`, and the vmid.
   */
  guardDir(dir: string): Promise<{ release(): Promise<void> }>;

  /** The node's files. */
  readonly files: NodeFiles;

  /** Lets go of the way to the node. What still runs there goes on as if we had died. Safe to repeat. */
  close(): Promise<void>;
}

/** What may be done with files of a node. Errors keep the system's `code` (ENOSPC, EACCES, …). */
export interface NodeFiles {
  /** Creates a directory that must not exist yet. */
  makeDir(path: string, mode: number): Promise<void>;
  /** `null` when there is nothing; symlinks are followed. */
  stat(path: string): Promise<{ kind: "file" | "dir" | "other"; size: number; mode: number } | null>;
  /** Names in a directory. */
  list(path: string): Promise<string[]>;
  /** A whole small text file (at most 4 MiB), or `null` when there is none. */
  readText(path: string): Promise<string | null>;
  /** A file's bytes from its start. */
  open(path: string): Promise<ByteSource>;
  /** A new file, mode 0600; an existing one (a dangling symlink too) is an error. */
  create(path: string): Promise<FileWriter>;
  /** Gives a file a second name on the same filesystem; an existing name is an error, never replaced. */
  link(existing: string, name: string): Promise<void>;
  /** Bytes of the filesystem that holds `path`. `free` is what an ordinary user may still take. */
  freeSpace(path: string): Promise<{ free: number; total: number }>;
  /**
   * Takes an exclusive flock on a new file. `release` gives it back; our death does too, so a free lock
   * says that its owner is gone.
   */
  lock(path: string): Promise<{ release(): Promise<void> }>;
  /** Removes one file; nothing there is fine. */
  removeFile(path: string): Promise<void>;
  /** Removes a directory that this run made, with all in it; does not follow symlinks; nothing there is fine. */
  removeTree(path: string): Promise<void>;
  /** Removes an empty directory; answers false when it is not empty or not there. */
  removeEmptyDir(path: string): Promise<boolean>;
}

/** A file that is being written. Whole only when `close` resolved. */
export interface FileWriter {
  /** Writes all of `chunk`; its buffer may be reused once this settled. */
  write(chunk: Uint8Array): Promise<void>;
  /** Syncs to disk and closes. */
  close(): Promise<void>;
  /** Closes without a promise of anything; removing the file is the caller's. */
  abort(): Promise<void>;
}
