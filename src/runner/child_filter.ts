import type { ByteSource } from "../core/bytes.ts";
import { ChildSignals, readUntilExit } from "./child_streams.ts";
import type { RunningFilter } from "./command_filter.ts";
import { LogTail } from "./log_tail.ts";
import { PipeSource } from "./pipe_source.ts";
import { inPieces } from "./pieces.ts";

/** A filter on this machine. */
export class ChildFilter implements RunningFilter {
  readonly output: ByteSource;
  readonly gone: Promise<{ ended: { status: number }; logTail: string }>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #signals: ChildSignals;

  constructor(readonly child: Deno.ChildProcess) {
    this.#writer = child.stdin.getWriter();
    this.#writer.closed.catch(() => {}); // told by `write` and `endInput`
    this.output = new PipeSource(child.stdout);
    this.#signals = new ChildSignals(child);
    this.gone = this.#awaitEnd();
  }

  write(chunk: Uint8Array): Promise<void> {
    return inPieces(chunk, (piece) => this.#writer.write(piece));
  }

  // Only `close` tells whether all input was taken: a write that met the broken pipe resolves.
  endInput(): Promise<boolean> {
    return this.#writer.close().then(() => true, () => false);
  }

  kill(): void {
    this.#signals.kill();
  }

  // An aborted stdin looks like the good end of the input to a child: only after the child's exit.
  async release(): Promise<void> {
    await this.#writer.abort().catch(() => {});
    await this.output.cancel("over");
  }

  async #awaitEnd(): Promise<{ ended: { status: number }; logTail: string }> {
    const log = new LogTail();
    await readUntilExit(this.child.stderr, this.child.status, (chunk) => log.push(chunk));
    const { code } = await this.child.status;
    log.end();
    return { ended: { status: code }, logTail: log.toString() };
  }
}
