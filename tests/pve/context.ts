import { readState, type SimState } from "./state.ts";

/** What every simulated tool knows about its call. */
export interface Context {
  /** State directory of the cluster. */
  dir: string;
  /** Node the tool runs on. */
  node: string;
  tool: string;
  argv: string[];
  state: SimState;
}

/** An error that ends a tool: its text goes to stderr. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  constructor(message: string, readonly status = 255) {
    super(message);
  }
}

/** Reads the state again; other tools may have changed it. */
export function refresh(context: Context): SimState {
  context.state = readState(context.dir);
  return context.state;
}

const encoder = new TextEncoder();

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let rest = encoder.encode(text);
  while (rest.length > 0) rest = rest.subarray(stream.writeSync(rest));
}

/** One line on stdout. */
export function print(line: string): void {
  writeAll(Deno.stdout, line + "\n");
}

/** One line on stderr. */
export function warn(line: string): void {
  writeAll(Deno.stderr, line + "\n");
}

/** Waits that many milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
