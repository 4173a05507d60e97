import { midSentence } from "../command_error.ts";
import { LogTail } from "../log_tail.ts";
import type { FileWriter } from "../runner.ts";
import { WRITE_FILE } from "./programs.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";
import { fileError } from "./system_error.ts";

/** Bytes that announce the end of a file, see `WRITE_FILE`. */
interface Trailers {
  whole: string;
  part: string;
}

/** Writes a new file on a node, by one channel. A file whose end was not announced is removed by the node itself. */
export class RemoteFileWriter implements FileWriter {
  #written = 0;
  #ended = false;
  #closing: Promise<void> | undefined;

  private constructor(
    readonly path: string,
    readonly program: RemoteProgram,
    readonly trailers: Trailers,
    readonly log: LogTail,
  ) {
    program.ended.then(() => this.#ended = true);
  }

  static async create(reach: Reach, path: string): Promise<RemoteFileWriter> {
    const log = new LogTail();
    const word = crypto.randomUUID();
    const trailers = { whole: `${word} whole`, part: `${word} part.` };
    const args = [path, trailers.whole, trailers.part];
    const program = await RemoteProgram.start(reach, { text: WRITE_FILE, args }, (chunk) => log.push(chunk));
    if (program.greeting.word === "ready") return new RemoteFileWriter(path, program, trailers, log);
    await program.release();
    log.end();
    throw fileError(`create "${path}"`, log.toString());
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#closing) throw new TypeError(`Cannot write "${this.path}": it is closed`);
    if (this.#ended) throw await this.#failure();
    try {
      await this.program.write(chunk);
    } catch (error) {
      throw await this.#failure(error);
    }
    this.#written += chunk.length;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#finish();
  }

  async abort(): Promise<void> {
    if (this.#closing) return await this.#closing.catch(() => {});
    this.#closing = this.#announce(this.trailers.part).then(() => {}, () => {});
    await this.#closing;
  }

  async #finish(): Promise<void> {
    const answer = (await this.#announce(this.trailers.whole)).trim();
    const end = await this.program.exited;
    if ("lost" in end || end.status !== 0) throw await this.#failure();
    if (answer === String(this.#written)) return;
    throw new Error(
      `Cannot write "${this.path}": ${this.#written} bytes were sent, ${answer || "none"} came`,
    );
  }

  /** Ends the bytes with `trailer` and answers what the node says then. */
  async #announce(trailer: string): Promise<string> {
    try {
      await this.program.write(new TextEncoder().encode(trailer));
      await this.program.closeInput();
    } catch (error) {
      throw await this.#failure(error);
    }
    let answer = "";
    for (;;) {
      const chunk = await this.program.output.read(new Uint8Array(100));
      if (chunk.length === 0) break;
      answer += new TextDecoder().decode(chunk);
    }
    await this.program.release();
    return answer;
  }

  /** Why the node takes no more, once it is done with the file. */
  async #failure(cause?: unknown): Promise<Error> {
    await this.program.release();
    this.log.end();
    const action = `write "${this.path}"`;
    const end = await this.program.ended;
    if ("lost" in end) return new Error(`Cannot ${action}: ${midSentence(end.lost)}`, { cause: end.lost });
    const said = this.log.toString();
    if (said !== "") return fileError(action, said);
    return new Error(`Cannot ${action}: it was cut off`, cause === undefined ? undefined : { cause });
  }
}
