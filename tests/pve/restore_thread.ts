/**
 * The thread that plays `vma extract`: it blocks in reads while the job keeps handling signals and its
 * time limit for the header.
 */
/// <reference lib="deno.worker" />
import { CLUSTER, SyntheticCheck } from "./disk_data.ts";
import { readVmaHeader, VmaError, VmaExtractor, type VmaHeader } from "./vma_read.ts";

/** Where a device's bytes go: a raw file, or (without a path) a comparison with the generator. */
export interface RestoreTarget {
  id: number;
  name: string;
  path?: string;
}

export type RestoreRequest =
  | { kind: "vma"; source: string }
  | { kind: "map"; targets: RestoreTarget[] }
  | { kind: "tar"; source: string };

export type RestoreEvent =
  | { event: "header"; header: VmaHeader }
  | { event: "progress"; read: number }
  | { event: "end"; read: number; zero: number; seeds: Record<number, number> }
  | { event: "tar-end"; config?: string; bytes: number; seed?: number }
  | { event: "failed"; reason: string; signal: number };

function post(event: RestoreEvent): void {
  self.postMessage(event);
}

function opener(source: string): (buffer: Uint8Array) => number {
  const input = source === "-" ? Deno.stdin : Deno.openSync(source);
  return (buffer) => {
    let filled = 0;
    while (filled < buffer.length) {
      const count = input.readSync(buffer.subarray(filled, Math.min(buffer.length, filled + 65536)));
      if (count === null) break;
      filled += count;
    }
    return filled;
  };
}

let fill: (buffer: Uint8Array) => number;
let header: VmaHeader;

function extract(targets: readonly RestoreTarget[]): void {
  const files = new Map<number, Deno.FsFile>();
  const checks = new Map<number, SyntheticCheck>();
  for (const { id, path } of targets) {
    if (path === undefined) checks.set(id, new SyntheticCheck());
    else files.set(id, Deno.openSync(path, { write: true }));
  }
  const extractor = new VmaExtractor(header, fill, (id, cluster, offset, bytes) => {
    const file = files.get(id);
    if (file === undefined) {
      if (checks.get(id)!.matches(cluster, offset, bytes)) return;
      throw new VmaError(
        `discarding storage: cluster ${cluster} of device ${id} is not what the generator makes`,
      );
    }
    file.seekSync(cluster * CLUSTER + offset, Deno.SeekMode.Start);
    let rest = bytes;
    while (rest.length > 0) rest = rest.subarray(file.writeSync(rest));
  });
  let told = 0;
  const total = header.devices.reduce((sum, device) => sum + Math.ceil(device.size / CLUSTER) * CLUSTER, 0);
  const totals = extractor.run((read) => {
    const percent = Math.floor(read * 100 / total);
    if (percent > told) post({ event: "progress", read });
    told = percent;
  });
  for (const file of files.values()) file.close();
  const seeds = Object.fromEntries([...checks].map(([id, check]) => [id, check.seed ?? 0]));
  post({ event: "end", ...totals, seeds });
}

self.onmessage = async (message: MessageEvent<RestoreRequest>) => {
  const request = message.data;
  try {
    if (request.kind === "vma") {
      fill = opener(request.source);
      header = readVmaHeader(fill);
      post({ event: "header", header });
    } else if (request.kind === "map") {
      extract(request.targets);
    } else {
      const { checkTar } = await import("./tar_read.ts");
      post({ event: "tar-end", ...checkTar(opener(request.source)) });
    }
  } catch (error) {
    const signal = error instanceof VmaError ? error.signal : 5;
    post({ event: "failed", reason: error instanceof Error ? error.message : String(error), signal });
  }
};
