/** The worker side of a task: its log, its signals, its children, its result. */
import { sleep } from "./context.ts";
import type { TaskFile } from "./job.ts";

/** A signal ended what was going on. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** The pipe that carries the log has no reader any more; whatever logs next dies. */
export class BrokenLog extends Error {
  override readonly name = "BrokenLog";
  constructor() {
    super("broken pipe");
  }
}

/** A signal came during a cleanup: what was left of it does not happen. */
export class CleanupCut extends Error {
  override readonly name = "CleanupCut";
}

/** Whether nothing may be tidied up any more. */
export function endsAll(error: unknown): boolean {
  return error instanceof BrokenLog || error instanceof CleanupCut;
}

const encoder = new TextEncoder();

/** A running task. Every wait goes through it, so that a TERM ends the wait as Perl's handler would. */
export class Job {
  warnings = 0;
  #pending = 0;
  #wake: (() => void) | undefined;
  readonly #children = new Set<Deno.ChildProcess>();

  constructor(
    readonly dir: string,
    readonly node: string,
    readonly file: TaskFile,
    readonly interruptText: string,
  ) {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => {
        this.#pending++;
        this.#wake?.();
      });
    }
  }

  /** One line of log. Throws {@linkcode BrokenLog} when nobody reads it. */
  print(line: string): void {
    this.printRaw(encoder.encode(line + "\n"));
  }

  printRaw(bytes: Uint8Array): void {
    try {
      let rest = bytes;
      while (rest.length > 0) rest = rest.subarray(Deno.stderr.writeSync(rest));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new BrokenLog();
      throw error;
    }
  }

  /** Delivers a signal that came meanwhile. */
  checkpoint(): void {
    if (this.#pending === 0) return;
    this.#pending = 0;
    throw new Interrupted(this.interruptText);
  }

  /** Waits for `work`, or dies of a signal first; `work` then goes on by itself. */
  async wait<T>(work: Promise<T>): Promise<T> {
    this.checkpoint();
    const interrupted = new Promise<never>((_, reject) => {
      this.#wake = () => {
        this.#pending = 0;
        reject(new Interrupted(this.interruptText));
      };
    });
    try {
      return await Promise.race([work, interrupted]);
    } finally {
      this.#wake = undefined;
    }
  }

  pause(milliseconds: number): Promise<void> {
    return this.wait(sleep(milliseconds));
  }

  /** A step of a cleanup; a signal meanwhile cuts it and everything behind it. */
  async cleanupStep(milliseconds: number): Promise<void> {
    try {
      await this.pause(milliseconds);
    } catch (error) {
      if (error instanceof Interrupted) throw new CleanupCut(error.message);
      throw error;
    }
  }

  /** Starts a program in the worker's process group; its stderr goes to the log. */
  spawn(argv: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
    const [program, ...args] = argv;
    const child = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
      ...options,
    }).spawn();
    this.#children.add(child);
    child.status.then(() => this.#children.delete(child));
    return child;
  }

  /** Runs a shell script with positional parameters to its end. */
  async shell(script: string, parameters: readonly string[] = []): Promise<Deno.CommandStatus> {
    return await this.wait(
      this.spawn(["bash", "-c", script, "bash", ...parameters], { stdout: "null" }).status,
    );
  }

  /** Ends what is still running; FIFOs would keep it waiting for ever. */
  killChildren(): void {
    for (const child of this.#children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // Ended meanwhile.
      }
    }
  }
}

/** `exit code 2` or `got signal 13`, as PVE::Cmd says it. */
export function describeStatus(status: Deno.CommandStatus): string {
  if (status.signal === null) return `exit code ${status.code}`;
  return `got signal ${SIGNAL_NUMBERS[status.signal] ?? status.code - 128}`;
}

const SIGNAL_NUMBERS: Partial<Record<Deno.Signal, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGTRAP: 5,
  SIGKILL: 9,
  SIGPIPE: 13,
  SIGTERM: 15,
};

async function perform(job: Job): Promise<void> {
  switch (job.file.task) {
    case "vzdump":
      return await (await import("./vzdump_job.ts")).runBackupJob(job);
    case "qmrestore":
      return await (await import("./qmrestore_job.ts")).runVmRestore(job);
    case "pctrestore":
      return await (await import("./pct_restore_job.ts")).runContainerRestore(job);
    default:
      return await (await import("./guest_job.ts")).runGuestTask(job);
  }
}

/** Entry of the worker process; answers its exit status. */
export async function runWorker(dir: string, node: string, id: string): Promise<number> {
  const base = `${dir}/run/${id}`;
  const file = JSON.parse(await Deno.readTextFile(`${base}.task`)) as TaskFile;
  await Deno.remove(`${base}.task`);
  const text = file.task === "vzdump" ? "interrupted by signal" : "received interrupt";
  const record = `${dir}/run/${Deno.pid}.process`;
  await Deno.writeTextFile(
    record,
    JSON.stringify({ pid: Deno.pid, tool: file.tool, node, vmid: file.vmid, task: file.task }),
  );
  const job = new Job(dir, node, file, text);
  let result: string;
  try {
    await perform(job);
    result = job.warnings > 0 ? `WARNINGS: ${job.warnings}` : "OK";
  } catch (error) {
    result = error instanceof Error ? error.message : String(error);
  }
  job.killChildren();
  await Deno.writeTextFile(`${base}.result`, result);
  await Deno.remove(record);
  return result === "OK" || result.startsWith("WARNINGS") ? 0 : 255;
}
