import type { ByteSource } from "../../core/bytes.ts";
import { commandCutOff, commandFailed } from "../command_error.ts";
import { LogTail } from "../log_tail.ts";
import type { Argv } from "../runner.ts";
import { READ_FILE } from "./programs.ts";
import { type Reach, RemoteProgram } from "./remote_program.ts";
import { fileError } from "./system_error.ts";

/** The bytes of a regular file on a node. */
export async function openRemoteFile(reach: Reach, path: string): Promise<ByteSource> {
  const log = new LogTail();
  const program = await RemoteProgram.start(
    reach,
    { text: READ_FILE, args: [path] },
    (chunk) => log.push(chunk),
  );
  const { word } = program.greeting;
  if (word === "ready") return new RemoteFileSource(path, program, log);
  await program.release();
  log.end();
  if (word === "irregular") throw new TypeError(`Cannot read "${path}": not a regular file`);
  throw fileError(`read "${path}"`, log.toString());
}

class RemoteFileSource implements ByteSource {
  #over = false;
  #cancelled = false;

  constructor(readonly path: string, readonly program: RemoteProgram, readonly log: LogTail) {}

  async read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#cancelled) return view.subarray(0, 0);
    const chunk = this.#over ? view.subarray(0, 0) : await this.program.output.read(view);
    if (chunk.length > 0 || this.#cancelled) return chunk;
    this.#over = true;
    // The end of the bytes proves nothing: a `cat` that was killed and a lost connection end them too.
    const end = await this.program.ended;
    if (this.#cancelled) return chunk;
    await this.program.release();
    if ("status" in end && end.status === 0) return chunk;
    this.log.end();
    const argv: Argv = ["cat", this.path];
    const logTail = this.log.toString();
    if ("lost" in end) throw commandCutOff(argv, { status: -1, logTail }, end.lost);
    if (end.status === 1) throw fileError(`read "${this.path}"`, logTail);
    throw commandFailed(argv, { status: end.status, logTail });
  }

  async cancel(reason: unknown): Promise<void> {
    if (this.#cancelled) return;
    this.#cancelled = true;
    await this.program.output.cancel(reason);
    await this.program.closeInput().catch(() => {});
    await this.program.release();
  }
}
