import { ChildSignals, readUntilExit } from "./child_streams.ts";
import { commandFailed, commandTimedOut } from "./command_error.ts";
import { LogTail } from "./log_tail.ts";
import type { Argv, CommandOutput, RunOptions } from "./runner.ts";

const DEFAULT_TIMEOUT = 60_000;
const DEFAULT_MAX_OUTPUT = 16 * 1024 * 1024;

/** Takes what a short command says until it ends, or ends it when it takes or says too much. */
export async function collectOutput(
  argv: Argv,
  child: Deno.ChildProcess,
  options: RunOptions,
): Promise<CommandOutput> {
  const { timeout = DEFAULT_TIMEOUT, accept = [0], maxOutput = DEFAULT_MAX_OUTPUT } = options;
  const signals = new ChildSignals(child);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    signals.terminate();
  }, timeout);

  const stdout = new BoundedText(maxOutput, () => signals.terminate());
  const stderr = new LogTail();
  const [{ code: status }] = await Promise.all([
    child.status.finally(() => clearTimeout(timer)),
    readUntilExit(child.stdout, child.status, (chunk) => stdout.push(chunk)),
    readUntilExit(child.stderr, child.status, (chunk) => stderr.push(chunk)),
  ]);
  stderr.end();

  const end = { status, logTail: stderr.toString() };
  if (late) throw commandTimedOut(argv, end, timeout);
  if (stdout.overflowed) throw commandFailed(argv, end, `it wrote more than ${maxOutput} bytes`);
  // Task commands log on stdout, only their final error comes on stderr; some say nothing there.
  if (!accept.includes(status)) {
    throw commandFailed(argv, { status, logTail: end.logTail || tailOf(stdout.toString()) });
  }
  return { ...end, stdout: stdout.toString(), stderr: end.logTail };
}

class BoundedText {
  #chunks: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;

  constructor(readonly limit: number, readonly onOverflow: () => void) {}

  get overflowed(): boolean {
    return this.#bytes > this.limit;
  }

  push(chunk: Uint8Array): void {
    if (this.overflowed) return;
    this.#bytes += chunk.length;
    if (this.overflowed) this.onOverflow();
    else this.#chunks.push(chunk.slice());
  }

  toString(): string {
    const decoder = new TextDecoder();
    return this.#chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode();
  }
}

function tailOf(text: string): string {
  const tail = new LogTail();
  tail.push(new TextEncoder().encode(text));
  tail.end();
  return tail.toString();
}
