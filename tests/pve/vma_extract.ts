/** Drives the extracting thread: header within its time limit, map, data, and the program's way to die. */
import type { RestoreEvent, RestoreRequest, RestoreTarget } from "./restore_thread.ts";
import type { VmaHeader } from "./vma_read.ts";
import { sleep } from "./context.ts";
import type { Job } from "./worker.ts";

const HEADER_LIMIT_MS = 60_000;
const OLD_HEADER_LIMIT_MS = 5_000;

/** Waits for one event after the other; progress goes to a callback. */
export class RestoreThread {
  readonly #worker = new Worker(new URL("./restore_thread.ts", import.meta.url), { type: "module" });

  send(
    request: RestoreRequest,
    onProgress: (read: number) => void = () => {},
  ): Promise<Exclude<RestoreEvent, { event: "progress" }>> {
    const answer = new Promise<Exclude<RestoreEvent, { event: "progress" }>>((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<RestoreEvent>) => {
        if (data.event !== "progress") return resolve(data);
        try {
          onProgress(data.read);
        } catch (error) {
          reject(error);
        }
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
    this.#worker.postMessage(request);
    return answer;
  }

  stop(): void {
    this.#worker.terminate();
  }
}

export interface ExtractPlan {
  /** `-` or a path. */
  archive: string;
  decompressor?: string;
  /** Directory for the FIFO. */
  tmpdir: string;
  /** Releases before 8.2 wait 5 s only. */
  shortLimit: boolean;
  timeScale: number;
}

/** One `vma extract`, maybe behind a decompressor. */
export class VmaExtraction {
  readonly #thread = new RestoreThread();
  #decompressor: Promise<Deno.CommandStatus> | undefined;
  readonly #number = String(Deno.pid);

  constructor(readonly job: Job, readonly plan: ExtractPlan) {}

  /** `command '…' failed: ` with the command as PVE writes it. */
  failure(reason: string): Error {
    return new Error(`command 'set -o pipefail && ${this.command}' failed: ${reason}`);
  }

  get command(): string {
    const { decompressor, archive } = this.plan;
    const base = `/var/tmp/vzdumptmp${this.#number}`;
    const source = decompressor === undefined ? archive : "-";
    const extract = `vma extract -v -r ${base}.fifo ${source} ${base}`;
    return decompressor === undefined ? extract : `${decompressor} ${archive} | ${extract}`;
  }

  async #source(): Promise<string> {
    const { decompressor, archive, tmpdir } = this.plan;
    if (decompressor === undefined) return archive;
    const fifo = `${tmpdir}/vzdumptmp${this.#number}.fifo`;
    await this.job.wait(this.job.spawn(["mkfifo", "-m", "600", fifo]).status);
    const argv = ["sh", "-c", `exec ${decompressor} "$0" >"$1"`, archive, fifo];
    this.#decompressor = this.job.spawn(argv, { stdout: "null" }).status;
    return fifo;
  }

  /**
   * Reads the header. When the program dies before it, nobody notices: the caller sits in a FIFO open
   * until its alarm, whatever the real cause was.
   */
  async header(): Promise<VmaHeader> {
    const limit = (this.plan.shortLimit ? OLD_HEADER_LIMIT_MS : HEADER_LIMIT_MS) * this.plan.timeScale;
    const never = new Promise<never>(() => {});
    const answer = this.#thread.send({ kind: "vma", source: await this.#source() })
      .then((event) => event.event === "header" ? event.header : never);
    const header = await this.job.wait(Promise.race([answer, sleep(limit).then(() => undefined)]));
    if (header !== undefined) return header;
    throw this.failure(this.plan.shortLimit ? "got timeout" : "got timeout reading VMA header - corrupted?");
  }

  /** Reads all data. Answers totals and, for compared devices, the seeds of their generators. */
  async data(targets: RestoreTarget[], onProgress: (read: number) => void) {
    const event = await this.job.wait(this.#thread.send({ kind: "map", targets }, onProgress));
    if (event.event === "failed") {
      const time = new Date().toTimeString().slice(0, 8);
      this.job.print(`** (process:${this.#number}): ERROR **: ${time}.000: ${event.reason}`);
      if (this.#decompressor === undefined) throw this.failure(`got signal ${event.signal}`);
      this.job.print(event.signal === 5 ? "bash: line 1: Trace/breakpoint trap" : "bash: line 1: Aborted");
      throw this.failure(`exit code ${128 + event.signal}`);
    }
    if (event.event !== "end") throw new Error(`unexpected event ${event.event}`);
    const status = await this.#decompressor;
    if (status && !status.success) throw this.failure(`exit code ${status.code}`);
    return event;
  }

  stop(): void {
    this.#thread.stop();
  }
}
