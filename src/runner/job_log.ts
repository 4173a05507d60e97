import { messageOf } from "../core/errors.ts";
import { LogTail } from "./log_tail.ts";

/** Milliseconds between two looks at the log. */
const POLL_INTERVAL = 250;

/**
 * A log file that has grown past this is emptied once all of it was read: the job appends. A line that comes
 * in the very moment is lost.
 */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** A log that grows faster than we read is emptied here, read or not. */
const MAX_FLOOD_BYTES = 64 * 1024 * 1024;

/** What is read at most of all that came between two looks; the middle is skipped. */
const MAX_STEP_BYTES = 1024 * 1024;

/** Room for what a job says while we read. */
const SLACK_BYTES = 256 * 1024;

/**
 * The log of a job on this machine: a file that we create and the guard unlinks, so that the job's log never
 * depends on a pipe of ours. Polled, since no event tells about an unlinked file.
 */
export class JobLog {
  readonly #tail: LogTail;
  #position = 0;
  #unreadable = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(readonly path: string, readonly file: Deno.FsFile, onLine?: (line: string) => void) {
    this.#tail = new LogTail(onLine);
    this.#timer = setInterval(() => this.#poll(), POLL_INTERVAL);
  }

  /** Creates the log file in `dir`, 0600 and under a name that nobody can guess. */
  static async create(dir: string, onLine?: (line: string) => void): Promise<JobLog> {
    const path = `${dir}/${crypto.randomUUID()}.log`;
    const file = await Deno.open(path, { read: true, write: true, createNew: true, mode: 0o600 });
    return new JobLog(path, file, onLine);
  }

  /** The last lines so far. */
  tail(): string {
    this.#poll();
    return this.#tail.toString();
  }

  /** Takes what is left once the job is gone, and closes the file. Answers the last lines; safe to repeat. */
  end(): string {
    if (this.#timer !== undefined) {
      this.#poll();
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.file.close();
      this.#tail.end();
    }
    return this.#tail.toString();
  }

  /** For a guard that never opened the log: closes it and removes its name. */
  async discard(): Promise<void> {
    this.end();
    await Deno.remove(this.path).catch(() => {});
  }

  #poll(): void {
    if (this.#timer === undefined || this.#unreadable) return;
    try {
      this.#takeNew();
    } catch (error) { // a network file system may lose the file; the job matters more than its log
      this.#unreadable = true;
      this.#tail.note(`[the log cannot be read any more: ${messageOf(error)}]`);
    }
  }

  // Synchronous, and lines are cut only afterwards: nothing may come between the last read and the truncation.
  #takeNew(): void {
    const unread = this.file.statSync().size - this.#position;
    if (unread <= 0) return;
    if (unread > MAX_STEP_BYTES) {
      this.#position = this.file.seekSync(unread - MAX_STEP_BYTES, Deno.SeekMode.Current);
      this.#tail.note(`[${unread - MAX_STEP_BYTES} bytes of log skipped]`);
    }
    const bytes = new Uint8Array(Math.min(unread, MAX_STEP_BYTES) + SLACK_BYTES);
    const length = this.#fill(bytes);
    const caughtUp = length < bytes.length;
    if (this.#position > (caughtUp ? MAX_FILE_BYTES : MAX_FLOOD_BYTES)) {
      this.file.truncateSync(0);
      this.#position = this.file.seekSync(0, Deno.SeekMode.Start);
    }
    this.#tail.push(bytes.subarray(0, length));
  }

  #fill(bytes: Uint8Array): number {
    let length = 0;
    while (length < bytes.length) {
      const got = this.file.readSync(bytes.subarray(length));
      if (got === null) break;
      length += got;
      this.#position += got;
    }
    return length;
  }
}
