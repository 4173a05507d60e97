import { type ByteSource, drain } from "../../core/bytes.ts";
import type { RunningFilter } from "../command_filter.ts";
import { TERM_TO_KILL } from "../child_streams.ts";
import { LogTail } from "../log_tail.ts";
import type { Argv } from "../runner.ts";
import type { OutputSinks, ShortProcess } from "../short_command.ts";
import { notExecutable, notFound } from "../tool_path.ts";
import type { ChannelEnd } from "./channel.ts";
import { MarkedLines } from "./marked_lines.ts";
import { FILTER, KILL_GROUP, type Program, SHORT_COMMAND } from "./programs.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";

/** Milliseconds after the kill of a command until we give its channel up. */
const GIVE_UP_WAIT = TERM_TO_KILL + 10_000;

/**
 * Starts a program that looks for the tool `argv[0]` first.
 *
 * @throws {CommandError} when there is no such tool
 */
export async function startTool(
  reach: Reach,
  argv: Argv,
  program: Program,
  onStderr: (chunk: Uint8Array) => void,
): Promise<RemoteProgram> {
  const running = await RemoteProgram.start(reach, program, onStderr);
  const { word, detail } = running.greeting;
  if (word !== "not-found" && word !== "not-executable") return running;
  await running.release();
  throw word === "not-found" ? notFound(argv, detail) : notExecutable(argv, detail);
}

/** Starts a short command, which ends when its channel does unless it holds a file; `hold` may be empty. */
export async function startShort(
  reach: Reach,
  argv: Argv,
  hold: string,
  sinks: OutputSinks,
): Promise<ShortProcess> {
  const program = { text: SHORT_COMMAND, args: [hold, ...argv] };
  const running = await startTool(reach, argv, program, sinks.stderr);
  const stdoutOver = Promise.withResolvers<void>();
  const stdout = new MarkedLines(running.marker, sinks.stdout, () => stdoutOver.resolve());
  const read = drain(running.output, (chunk) => stdout.push(chunk)).then(() => stdout.end());

  // A process that was left behind may hold the channel: what the command itself wrote is over before.
  const told = Promise.all([running.told, stdoutOver.promise]).then(([{ status }]) => ({ status }));
  // Its end overtakes what was kept of stdout on the way.
  const whole = running.ended.then(async (end) => {
    await Promise.race([stdoutOver.promise, read]);
    return end;
  });
  const ended: Promise<ChannelEnd> = Promise.race([told, whole]);
  let giveUp: ReturnType<typeof setTimeout> | undefined;
  return {
    ended,
    delivered: ended.then(async () => {
      clearTimeout(giveUp);
      await running.release();
      await running.output.cancel("over");
      await read;
    }),
    terminate() {
      giveUp ??= setTimeout(() => running.close(), GIVE_UP_WAIT);
      running.write(new TextEncoder().encode("stop\n")).catch(() => {}); // one that is gone needs none
    },
  };
}

/** A filter on a node. */
export class RemoteFilter implements RunningFilter {
  readonly output: ByteSource;
  readonly gone: Promise<{ ended: ChannelEnd; logTail: string }>;
  #exited = false;
  #leftInput = false;
  #killing: Promise<void> | undefined;

  private constructor(
    readonly reach: Reach,
    readonly program: RemoteProgram,
    readonly log: LogTail,
  ) {
    this.output = program.output;
    program.told.then(({ left }) => this.#leftInput = left);
    program.exited.then(() => this.#exited = true);
    this.gone = program.ended.then((ended) => {
      log.end();
      return { ended, logTail: log.toString() };
    });
  }

  static async start(reach: Reach, argv: Argv): Promise<RemoteFilter> {
    const log = new LogTail();
    const program = await startTool(reach, argv, { text: FILTER, args: argv }, (chunk) => log.push(chunk));
    return new RemoteFilter(reach, program, log);
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.program.write(chunk);
  }

  async endInput(): Promise<boolean> {
    const sent = await this.program.closeInput().then(() => true, () => false);
    if (sent) await this.program.exited;
    return sent && !this.#leftInput;
  }

  kill(): void {
    if (!this.#exited) this.#killing ??= this.#kill();
  }

  async release(): Promise<void> {
    await this.#killing;
    await this.program.release();
    await this.output.cancel("over");
  }

  // A filter's stdin carries its bytes, so that the word must come another way.
  async #kill(): Promise<void> {
    const program = { text: KILL_GROUP, args: [this.program.greeting.detail] };
    try {
      const kill = await RemoteProgram.start(this.reach, program, () => {});
      await kill.release();
      await this.program.release(); // while nobody takes its output, its end cannot come through
    } catch {
      this.program.close(); // the node cannot be reached any more
    }
  }
}
