/**
 * The command-line side of a task, as Proxmox's fork_worker has it: a worker of its own session does the
 * job, the parent copies the worker's log to the caller and turns signals into one TERM for the group.
 */
import type { Context } from "./context.ts";
import { sleep, warn } from "./context.ts";
import { denoArguments } from "./launch.ts";

/** What the worker gets to know; written to a file that the worker removes. */
export interface TaskFile {
  tool: string;
  task: string;
  /** Guest of the task; null for jobs over several. */
  vmid: number | null;
  data: unknown;
}

export interface TaskOptions {
  /** stdout carries archive bytes: the log goes to stderr and the worker gets the original stdout. */
  archiveOnStdout?: boolean;
  /** The log is thrown away. */
  quiet?: boolean;
}

const SIGNALS: Deno.Signal[] = ["SIGTERM", "SIGINT", "SIGQUIT"];
const GRACE_MS = 5000;

/** Signals the worker's whole process group; an ended group is fine. */
function signalGroup(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-pid, signal);
  } catch {
    // Ended meanwhile.
  }
}

function spawnWorker(context: Context, id: string, options: TaskOptions): Deno.ChildProcess {
  const command = {
    args: denoArguments(["worker", context.dir, context.node, id]),
    stdin: "inherit",
    stdout: options.archiveOnStdout ? "inherit" : "null",
    stderr: "piped",
    detached: true,
  } as const;
  return new Deno.Command(Deno.execPath(), command).spawn();
}

/** Copies the log until it ends. False: the reader of our output is gone. */
async function copyLog(log: ReadableStream<Uint8Array>, options: TaskOptions): Promise<boolean> {
  const out = options.archiveOnStdout ? Deno.stderr : Deno.stdout;
  for await (const chunk of log) {
    if (options.quiet) continue;
    try {
      let rest = chunk;
      while (rest.length > 0) rest = rest.subarray(await out.write(rest));
    } catch {
      return false;
    }
  }
  return true;
}

/** The reader of the log has gone: TERM, and KILL after a grace. The log pipe is closed by then. */
async function endBroken(child: Deno.ChildProcess, scale: number): Promise<void> {
  signalGroup(child.pid, "SIGTERM");
  const ended = await Promise.race([
    child.status.then(() => true),
    sleep(GRACE_MS * scale).then(() => false),
  ]);
  if (!ended) signalGroup(child.pid, "SIGKILL");
  await child.status;
}

function readResult(path: string): string {
  try {
    const text = Deno.readTextFileSync(path);
    Deno.removeSync(path);
    return text;
  } catch {
    return "unexpected status";
  }
}

/**
 * Runs a task in a worker and waits for it. Answers the exit status: 0 also with warnings, else 255 with
 * the task's error on stderr.
 */
export async function runTask(context: Context, task: TaskFile, options: TaskOptions = {}): Promise<number> {
  const id = crypto.randomUUID();
  const base = `${context.dir}/run/${id}`;
  await Deno.writeTextFile(`${base}.task`, JSON.stringify(task));
  const child = spawnWorker(context, id, options);
  let received = 0;
  const onSignal = () => signalGroup(child.pid, ++received >= 4 ? "SIGKILL" : "SIGTERM");
  for (const signal of SIGNALS) Deno.addSignalListener(signal, onSignal);
  const copied = await copyLog(child.stderr, options);
  if (!copied) await endBroken(child, context.state.knobs.timeScale);
  await child.status;
  for (const signal of SIGNALS) Deno.removeSignalListener(signal, onSignal);
  const result = readResult(`${base}.result`);
  if (!copied) return complain("broken pipe", options);
  if (result === "OK") return 0;
  const warnings = /^WARNINGS: (\d+)$/.exec(result);
  if (warnings) {
    complain(`Task finished with ${warnings[1]} warning(s)!`, options);
    return 0;
  }
  return complain(result.replaceAll("\n", " "), options);
}

function complain(text: string, options: TaskOptions): number {
  try {
    if (!options.quiet) warn(text);
  } catch {
    // Nobody reads stderr either.
  }
  return 255;
}
