/** Signals that end a run from outside. */
const STOPS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Time between the request to end and the order to: milliseconds. */
const GRACE = 5_000;

/** How a command ended; `stopped` names the signal that reached us or `"time"` for the limit. */
export interface Ended {
  code: number;
  stopped?: Deno.Signal | "time";
}

export interface GroupOptions {
  /** When its time is up: milliseconds of the clock. */
  until: number;
  cwd: string;
  env?: Record<string, string>;
  /** Default: `inherit`, our own. */
  output?: "inherit" | "null";
}

/**
 * Runs a command in a process group of its own, so that a hung run is ended with all its
 * children: when its time is up, or when a signal asks us to stop.
 */
export async function runGroup(
  argv: readonly [string, ...string[]],
  options: GroupOptions,
): Promise<Ended> {
  const [program, ...args] = argv;
  const { cwd, env = {}, output = "inherit" } = options;
  const child = new Deno.Command(program, {
    args,
    cwd,
    env,
    stdin: "null",
    stdout: output,
    stderr: output,
    detached: true,
  }).spawn();
  let stopped: Ended["stopped"];
  const timers: number[] = [];
  const stop = (why: Deno.Signal | "time") => {
    stopped ??= why;
    signalGroup(child.pid, "SIGTERM");
    timers.push(setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE));
  };
  const listeners = STOPS.map((signal) => ({ signal, listener: () => stop(signal) }));
  for (const { signal, listener } of listeners) Deno.addSignalListener(signal, listener);
  timers.push(setTimeout(() => stop("time"), Math.max(0, options.until - Date.now())));
  try {
    const { code } = await child.status;
    // What the command left running in its group goes with it.
    signalGroup(child.pid, "SIGKILL");
    return stopped ? { code, stopped } : { code };
  } finally {
    timers.forEach(clearTimeout);
    for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
  }
}

function signalGroup(leader: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-leader, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && (error as { code?: string }).code !== "ESRCH") {
      throw error;
    }
  }
}
