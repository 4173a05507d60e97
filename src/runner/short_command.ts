import { commandCutOff, commandFailed, commandTimedOut, STATUS_UNKNOWN } from "./command_error.ts";
import { LogTail } from "./log_tail.ts";
import type { ChannelEnd } from "./remote/channel.ts";
import type { Argv, CommandEnd, CommandOutput, RunOptions } from "./runner.ts";

const DEFAULT_TIMEOUT = 60_000;
const DEFAULT_MAX_OUTPUT = 16 * 1024 * 1024;

/** Take what a short command writes; the bytes are only valid during the call. */
export interface OutputSinks {
  stdout: (chunk: Uint8Array) => void;
  stderr: (chunk: Uint8Array) => void;
}

/** A short command at work, however it is reached. */
export interface ShortProcess {
  /** How it ended, as soon as that is known; never rejects. */
  readonly ended: Promise<ChannelEnd>;
  /** Settles when all it wrote was handed over; a process that it left behind is not waited for. */
  readonly delivered: Promise<void>;
  /** Ends it and what it started: TERM, and KILL when that does not help. Safe to repeat. */
  terminate(): void;
}

/** What a short command wrote, whatever its status. */
export interface Collected extends CommandEnd {
  stdout: Uint8Array<ArrayBuffer>;
}

/**
 * Runs a short command and answers what it said.
 *
 * @throws {CommandError} unless it ended in time, with an accepted status and not too many words
 */
export async function collectOutput(
  argv: Argv,
  options: RunOptions,
  start: (sinks: OutputSinks) => Promise<ShortProcess>,
): Promise<CommandOutput> {
  const { status, logTail, stdout } = await collect(argv, options, start);
  const text = new TextDecoder().decode(stdout);
  // Task commands log on stdout, only their final error comes on stderr; some say nothing there.
  if (!(options.accept ?? [0]).includes(status)) {
    throw commandFailed(argv, { status, logTail: logTail || tailOf(stdout) });
  }
  return { status, logTail, stdout: text, stderr: logTail };
}

/** Like {@linkcode collectOutput}, but any status is an answer, and stdout may be any bytes. */
export async function collect(
  argv: Argv,
  options: Pick<RunOptions, "timeout" | "maxOutput">,
  start: (sinks: OutputSinks) => Promise<ShortProcess>,
): Promise<Collected> {
  const { timeout = DEFAULT_TIMEOUT, maxOutput = DEFAULT_MAX_OUTPUT } = options;
  const stdout = new BoundedBytes(maxOutput, () => command?.terminate());
  const stderr = new LogTail();
  let command: ShortProcess | undefined = undefined;
  command = await start({ stdout: (chunk) => stdout.push(chunk), stderr: (chunk) => stderr.push(chunk) });
  if (stdout.overflowed) command.terminate();

  let late = false;
  const timer = setTimeout(() => {
    late = true;
    command.terminate();
  }, timeout);
  const ended = await command.ended;
  clearTimeout(timer);
  await command.delivered;
  stderr.end();

  const lost = "lost" in ended ? ended.lost : undefined;
  const end = { status: "status" in ended ? ended.status : STATUS_UNKNOWN, logTail: stderr.toString() };
  if (late) throw commandTimedOut(argv, end, timeout);
  if (stdout.overflowed) throw commandFailed(argv, end, `it wrote more than ${maxOutput} bytes`);
  if (lost) throw commandCutOff(argv, end, lost);
  return { ...end, stdout: stdout.whole() };
}

class BoundedBytes {
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

  whole(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#bytes);
    let length = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, length);
      length += chunk.length;
    }
    return all;
  }
}

function tailOf(text: Uint8Array): string {
  const tail = new LogTail();
  tail.push(text);
  tail.end();
  return tail.toString();
}
