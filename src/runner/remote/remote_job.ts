import type { ByteSource } from "../../core/bytes.ts";
import { messageOf } from "../../core/errors.ts";
import { commandNotStarted } from "../command_error.ts";
import type { GuardWord } from "../guard.ts";
import type { GuardProcess } from "../guarded_job.ts";
import { LogTail } from "../log_tail.ts";
import type { Argv } from "../runner.ts";
import type { ChannelEnd } from "./channel.ts";
import type { Program } from "./programs.ts";
import { startTool } from "./remote_command.ts";
import type { Reach, RemoteProgram } from "./remote_program.ts";

/** A guard on a node. */
export class RemoteGuard implements GuardProcess {
  readonly output: ByteSource;
  readonly exited: Promise<ChannelEnd>;
  readonly ended: Promise<ChannelEnd>;
  #exited = false;
  #released = false;

  private constructor(private readonly program: RemoteProgram, private readonly log: LogTail) {
    this.output = program.output;
    this.exited = program.exited;
    this.ended = program.ended;
    program.exited.then((end) => {
      this.#exited = true;
      if ("lost" in end && !this.#released) log.note(`[${messageOf(end.lost)}]`);
    });
  }

  /**
   * Starts a job under its guard; its log lines come to `onLine`.
   *
   * @throws {CommandError} when it cannot be started
   */
  static async start(
    reach: Reach,
    argv: Argv,
    program: Program,
    onLine?: (line: string) => void,
  ): Promise<RemoteGuard> {
    const log = new LogTail(onLine);
    const running = await startTool(reach, argv, program, (chunk) => log.push(chunk));
    if (running.greeting.word === "ready") return new RemoteGuard(running, log);
    await running.release();
    log.end();
    const complaint = log.toString();
    throw commandNotStarted(argv, "status", `its log file cannot be prepared (${complaint})`);
  }

  say(word: GuardWord): void {
    this.program.write(new TextEncoder().encode(`${word}\n`)).catch(() => {}); // one that is gone needs none
  }

  logTail(): string {
    return this.log.toString();
  }

  async release(): Promise<string> {
    this.#released = true;
    if (this.#exited) await this.program.release();
    else this.program.close();
    await this.output.cancel("over");
    this.log.end();
    return this.log.toString();
  }
}
