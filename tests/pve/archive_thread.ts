/**
 * The thread that plays the guest's QEMU process (or the tail of tar's pipeline): it blocks in writes
 * while the job itself keeps handling signals.
 */
/// <reference lib="deno.worker" />
import { ByteSink, SilentCut, type SinkOptions, Stopped } from "./byte_sink.ts";
import type { ClusterOrder, VmaProgress, VmaSpec } from "./vma_write.ts";

/** What to write. `relay` passes on what another program writes into a FIFO. */
export type Production =
  | { kind: "vma"; spec: VmaSpec; order: ClusterOrder }
  | { kind: "relay"; source: string }
  | { kind: "tar"; members: { name: string; size: number; seed: number }[]; head: Uint8Array };

export interface ThreadRequest {
  production: Production;
  sink: SinkOptions;
}

export type ThreadEvent =
  | { event: "progress"; progress: VmaProgress }
  | { event: "end"; written: number; progress?: VmaProgress; cut?: true }
  | { event: "failed"; reason: string; written: number };

const PIECE = 32 * 1024;

function relay(source: string, sink: ByteSink): void {
  const file = Deno.openSync(source);
  try {
    const buffer = new Uint8Array(PIECE);
    for (;;) {
      const count = file.readSync(buffer);
      if (count === null) return;
      sink.write(buffer.subarray(0, count));
    }
  } finally {
    file.close();
  }
}

async function produce(production: Production, sink: ByteSink): Promise<VmaProgress | undefined> {
  switch (production.kind) {
    case "relay":
      relay(production.source, sink);
      return undefined;
    case "tar": {
      const { writeSyntheticTar } = await import("./tar_write.ts");
      writeSyntheticTar(production.head, production.members, sink.write);
      return undefined;
    }
    case "vma": {
      const { writeVma } = await import("./vma_write.ts");
      let last: VmaProgress = { read: 0, zero: 0, total: 0 };
      let told = 0;
      writeVma(production.spec, production.order, sink.write, (progress) => {
        last = progress;
        if (performance.now() - told < 50) return;
        told = performance.now();
        post({ event: "progress", progress });
      });
      return last;
    }
  }
}

function post(event: ThreadEvent): void {
  self.postMessage(event);
}

/** Error texts as the C library writes them. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.BrokenPipe) return "Broken pipe";
  if ((error as { code?: string }).code === "ENOSPC") return "No space left on device";
  if (error instanceof Stopped) return "Stopped";
  return error instanceof Error ? error.message : String(error);
}

self.onmessage = async (message: MessageEvent<ThreadRequest>) => {
  let sink: ByteSink | undefined;
  try {
    sink = new ByteSink(message.data.sink);
    const progress = await produce(message.data.production, sink);
    sink.end();
    post({ event: "end", written: sink.written, ...(progress ? { progress } : {}) });
  } catch (error) {
    const written = sink?.written ?? 0;
    if (error instanceof SilentCut) post({ event: "end", written, cut: true });
    else post({ event: "failed", reason: reasonOf(error), written });
  }
};
