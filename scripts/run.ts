import { fileURLToPath } from "node:url";

/** Absolute path of the top of the project, without a final slash. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** Plain output: no colours, no backtraces of Deno itself. */
const PLAIN = { NO_COLOR: "1", RUST_BACKTRACE: "0" };

/** What a finished command left behind; `output` is stdout and stderr, in this order. */
export interface Finished {
  code: number;
  stdout: string;
  output: string;
  timedOut: boolean;
}

/**
 * Runs this very Deno at the top of the project and collects what it prints.
 * `minutes`: it is killed after that time; default: no limit.
 */
export async function deno(
  args: string[],
  options: { env?: Record<string, string>; stdin?: string; minutes?: number } = {},
): Promise<Finished> {
  const limit = options.minutes === undefined ? undefined : AbortSignal.timeout(options.minutes * 60_000);
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { ...PLAIN, ...options.env },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(limit ? { signal: limit } : {}),
  }).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.stdin));
    await writer.close();
  }
  const result = await child.output();
  const [stdout, stderr] = [result.stdout, result.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return {
    code: result.code,
    stdout: stdout ?? "",
    output: `${stdout ?? ""}${stderr ?? ""}`.trim(),
    timedOut: limit?.aborted === true,
  };
}
