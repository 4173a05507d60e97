import { enlargePipesOf } from "../core/pipe_size.ts";
import type { JobInput } from "./fed_job.ts";
import { INPUT_FD } from "./feed_guard.ts";

/** The pipe into a job on this machine. */
export class LocalInput implements JobInput {
  #closed = false;

  private constructor(private readonly file: Deno.FsFile) {}

  /** Opens what the guard with this pid holds. */
  static async open(pid: number): Promise<LocalInput> {
    const file = await Deno.open(`/proc/${pid}/fd/${INPUT_FD}`, { write: true });
    enlargePipesOf(pid, [INPUT_FD]);
    return new LocalInput(file);
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0;) rest = rest.subarray(await this.file.write(rest));
  }

  close(): Promise<void> {
    this.abort();
    return Promise.resolve();
  }

  abort(): void {
    if (!this.#closed) this.file.close();
    this.#closed = true;
  }
}
