/** Brings archive bytes from their source through a compressor to stdout or a file. */
import type { Production, ThreadEvent, ThreadRequest } from "./archive_thread.ts";
import type { Faults } from "./state.ts";
import type { VmaProgress } from "./vma_write.ts";
import type { BackupOptions } from "./vzdump_options.ts";
import { describeStatus, type Job } from "./worker.ts";

/** What the stream made of it. */
export interface StreamResult {
  /** Bytes on the target. */
  written: number;
  progress?: VmaProgress;
}

/** A stream broke: `writer` is the last writer's error text, `command` how the external command ended. */
export class StreamFailure extends Error {
  override readonly name = "StreamFailure";
  constructor(readonly writer: string | undefined, readonly command: string | undefined) {
    super(writer ?? command ?? "failed");
  }
}

type Ending = Exclude<ThreadEvent, { event: "progress" }>;

/** A writing thread. It starts loading at once, the work comes later. */
export class ArchiveThread {
  readonly #worker = new Worker(new URL("./archive_thread.ts", import.meta.url), { type: "module" });
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));

  run(
    production: Production,
    sink: { target: string; faults: Faults; bwlimit: number },
    onProgress: (progress: VmaProgress) => void = () => {},
  ): Promise<Ending> {
    const ended = new Promise<Ending>((resolve, reject) => {
      this.#worker.onmessage = (message: MessageEvent<ThreadEvent>) => {
        const { data } = message;
        if (data.event !== "progress") return resolve(data);
        try {
          onProgress(data.progress);
        } catch (error) {
          reject(error);
        }
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
    const request: ThreadRequest = { production, sink: { ...sink, stop: this.#stop } };
    this.#worker.postMessage(request);
    return ended;
  }

  /** Ends the thread; one that hangs in a write ends with the process. */
  stop(): void {
    Atomics.store(this.#stop, 0, 1);
    Atomics.notify(this.#stop, 0);
    this.#worker.terminate();
  }
}

/** The compressor's command line, null for none. */
export function compressorCommand(options: BackupOptions): string | null {
  const cpus = navigator.hardwareConcurrency;
  const threads = (given: number) => Math.max(1, given === 0 ? Math.floor((cpus + 1) / 2) : given);
  switch (options.compress) {
    case "1":
    case "lzo":
      return "lzop";
    case "gzip":
      if (options.pigz <= 0) return "gzip --rsyncable";
      return `pigz -p ${threads(options.pigz === 1 ? 0 : options.pigz)} --rsyncable`;
    case "zstd":
      return `zstd --threads=${threads(options.zstd)}`;
    default:
      return null;
  }
}

/** Archive bytes either come from a thread or from a shell command that writes its stdout. */
export type StreamSource =
  | { thread: Production }
  | { shell: string; parameters: string[] };

export interface StreamPlan {
  source: StreamSource;
  compressor: string | null;
  /** `-` or a path. */
  target: string;
  faults: Faults;
  bwlimit: number;
  /** An existing directory for FIFOs. */
  fifos: string;
  /** Gets each line that an external command writes to stderr. */
  onLine: (line: string) => void;
  onProgress?: (progress: VmaProgress) => void;
}

async function makeFifo(job: Job, path: string): Promise<string> {
  await job.wait(job.spawn(["mkfifo", "-m", "600", path]).status);
  return path;
}

/** Ends when the child has ended and all its lines were passed on. */
async function followChild(
  child: Deno.ChildProcess,
  onLine: (line: string) => void,
): Promise<Deno.CommandStatus> {
  let rest = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
  return await child.status;
}

/** The child between source and target, if there is one: tar, a compressor, or both in a pipe. */
async function spawnChild(
  job: Job,
  plan: StreamPlan,
  output: string,
): Promise<{ status: Promise<Deno.CommandStatus>; input?: string }> {
  const { source, compressor } = plan;
  const pipes = { stdout: "null", stderr: "piped" } as const;
  if ("shell" in source) {
    const script = compressor === null ? source.shell : `${source.shell} | ${compressor}`;
    // The FIFO opens first, so that the shell can replace itself by the only command.
    const argv = ["bash", "-c", `exec >"$0" && set -o pipefail && ${script}`, output, ...source.parameters];
    return { status: followChild(job.spawn(argv, pipes), plan.onLine) };
  }
  const input = await makeFifo(job, `${plan.fifos}/compress.fifo`);
  const argv = ["sh", "-c", `exec ${compressor} <"$0" >"$1"`, input, output];
  return { status: followChild(job.spawn(argv, pipes), plan.onLine), input };
}

/**
 * Streams everything; throws {@linkcode StreamFailure} unless every part ended well, and what `onProgress`
 * throws: a progress line may be the first to notice that nobody reads the log any more.
 */
export async function stream(job: Job, thread: ArchiveThread, plan: StreamPlan): Promise<StreamResult> {
  const { source, compressor, target, faults, bwlimit } = plan;
  const threads = [thread];
  try {
    if ("thread" in source && compressor === null) {
      return finish(await job.wait(thread.run(source.thread, { target, faults, bwlimit }, plan.onProgress)));
    }
    const output = await makeFifo(job, `${plan.fifos}/archive.fifo`);
    const relayed = thread.run({ kind: "relay", source: output }, { target, faults, bwlimit });
    const child = await spawnChild(job, plan, output);
    const works: Promise<unknown>[] = [relayed, child.status];
    let generated: Promise<Ending> | undefined;
    if ("thread" in source) {
      const generator = new ArchiveThread();
      threads.push(generator);
      generated = generator.run(
        source.thread,
        { target: child.input!, faults: {}, bwlimit: 0 },
        plan.onProgress,
      );
      works.push(generated);
    }
    await job.wait(Promise.all(works));
    return finish(await relayed, await child.status, await generated);
  } finally {
    for (const used of threads) used.stop();
  }
}

function finish(target: Ending, child?: Deno.CommandStatus, generated?: Ending): StreamResult {
  // A silent cut closes the pipe early: the programs before it die of it, and nobody shall notice.
  if (target.event === "end" && target.cut) return { written: target.written };
  const failed = [target, generated].find((ending) => ending?.event === "failed");
  const command = child === undefined || child.success ? undefined : describeStatus(child);
  if (target.event === "failed" || failed !== undefined || command !== undefined) {
    throw new StreamFailure(failed?.event === "failed" ? failed.reason : undefined, command);
  }
  const progress = generated?.event === "end"
    ? generated.progress
    : target.event === "end"
    ? target.progress
    : undefined;
  return { written: target.written, ...(progress ? { progress } : {}) };
}
