import type { Argv, Runner } from "../../src/runner/runner.ts";

/** Limits for a runner whose owner is going to die. */
export const SHORT_LIMITS = { grace: 1000, patience: 5000 };

/**
 * The life of a program that uses a runner and is killed by `runner_death.ts`:
 * its arguments are `MODE DIRECTORY COMMAND…`. Modes: `read` takes all bytes, `hold` takes none,
 * `finish` and `stoppable` run a job to its end, `feed` feeds one without an end, `fed` with one. A line on stdin stops the job; in the line `die` we kill
 * ourselves in the same moment. The job's log is copied to `DIRECTORY/log`.
 */
export async function live(runner: Runner): Promise<void> {
  const [mode, dir, ...command] = Deno.args;
  const argv = command as unknown as Argv;
  const options = {
    logDir: `${dir}/logs`,
    onLog: (line: string) => Deno.writeTextFileSync(`${dir}/log`, `${line}\n`, { append: true }),
  };

  if (mode === "finish" || mode === "stoppable") {
    const stop = new AbortController();
    onWord(() => stop.abort());
    await runner.finish(argv, mode === "finish" ? options : { ...options, stop: stop.signal });
    return;
  }
  if (mode === "feed" || mode === "fed") {
    const sink = await runner.feed(argv, options);
    onWord(() => void sink.kill("told to"));
    do await sink.write(new Uint8Array(100_000)); while (mode === "feed");
    await sink.end();
    return;
  }
  const job = await runner.read(argv, options);
  onWord(() => void job.cancel("told to"));
  while (mode === "read") {
    const chunk = await job.read(new Uint8Array(32 * 1024));
    if (chunk.length === 0) break;
  }
}

function onWord(stop: () => void): void {
  void (async () => {
    const buffer = new Uint8Array(100);
    const length = await Deno.stdin.read(buffer);
    if (length === null) return;
    stop();
    if (new TextDecoder().decode(buffer.subarray(0, length)).startsWith("die")) {
      Deno.kill(Deno.pid, "SIGKILL");
    }
  })();
}
