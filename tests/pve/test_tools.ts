/** Calling the simulated tools from the simulation's own tests. */
import type { SimNode } from "./mod.ts";

export interface Outcome {
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
  bytes: Uint8Array;
}

export interface RunOptions {
  /** Fed to stdin; default: /dev/null. */
  input?: Uint8Array;
}

const decoder = new TextDecoder();

/** Starts a tool with pipes on stdout and stderr. */
export function start(
  node: SimNode,
  tool: string,
  args: readonly (string | number)[],
  stdin: "null" | "piped" = "null",
): Deno.ChildProcess {
  return new Deno.Command(`${node.bin}/${tool}`, {
    args: args.map(String),
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs a tool to its end. */
export async function run(
  node: SimNode,
  tool: string,
  args: readonly (string | number)[],
  options: RunOptions = {},
): Promise<Outcome> {
  const child = start(node, tool, args, options.input === undefined ? "null" : "piped");
  const fed = options.input === undefined ? undefined : feed(child, options.input);
  const { code, signal, stdout, stderr } = await child.output();
  await fed;
  return { code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr), bytes: stdout };
}

/** A reader that goes away early is not the feeder's failure. */
async function feed(child: Deno.ChildProcess, input: Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    for (let at = 0; at < input.length; at += 65536) await writer.write(input.subarray(at, at + 65536));
    await writer.close();
  } catch {
    // The tool's own outcome tells.
  }
}

/** Waits until `condition` holds; gives up after 20 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const limit = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`Waited 20 s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Path of the one file in `directory` whose name ends so. */
export function only(directory: string, ending: string): string {
  const names = [...Deno.readDirSync(directory)].map((entry) => entry.name).filter((name) =>
    name.endsWith(ending)
  );
  if (names.length !== 1) throw new Error(`Expected one "*${ending}" in ${directory}, found ${names.length}`);
  return `${directory}/${names[0]}`;
}

/** Names in a directory, sorted. */
export function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}
