import type { JobInput } from "../fed_job.ts";
import { LogTail } from "../log_tail.ts";
import type { ChannelEnd } from "./channel.ts";
import { FEED_INPUT } from "./programs.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";

/** The pipe into a job on a node, by a channel of its own. */
export class RemoteInput implements JobInput {
  #end: ChannelEnd | undefined;

  private constructor(private readonly program: RemoteProgram) {
    program.exited.then((end) => this.#end = end);
  }

  /** Opens what the guard with this pid holds there. */
  static async open(reach: Reach, pid: number): Promise<RemoteInput> {
    const log = new LogTail();
    const program = await RemoteProgram.start(
      reach,
      { text: FEED_INPUT, args: [String(pid)] },
      (chunk) => log.push(chunk),
    );
    if (program.greeting.word === "ready") return new RemoteInput(program);
    await program.release();
    log.end();
    throw new Error(log.toString());
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#end) throw failure(this.#end);
    await this.program.write(chunk);
  }

  /** Bytes that were sent have reached the pipe only when the node says so. */
  async close(): Promise<void> {
    await this.program.closeInput();
    const end = await this.program.exited;
    if ("lost" in end || end.status !== 0) throw failure(end);
    await this.program.release();
  }

  abort(): void {
    this.program.close();
  }
}

function failure(end: ChannelEnd): Error {
  return "lost" in end ? end.lost : new Error(`what carries its input ended with status ${end.status}`);
}
