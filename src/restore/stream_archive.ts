import { checkArchive } from "../archive/check.ts";
import type { Compression, DecoderFactory } from "../archive/contents.ts";
import { readWhole } from "../archive/read_whole.ts";
import type { ByteSource } from "../core/bytes.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { StorageMap } from "../core/storage_map.ts";
import type { CommandEnd, JobSink } from "../proxmox/restore_tools.ts";
import { requireRecorded, storageRewrite } from "./stage.ts";

export interface StreamTask {
  archive: StoredArchive;
  compression: Compression;
  source: ByteSource;
  /** See `StageTask`. */
  storages?: StorageMap | undefined;
  decoder: DecoderFactory;
  /** See `RestoreContext`. */
  requireBytes?: ((bytes: number) => void) | undefined;
  onBytes: (bytes: number) => void;
  /** Called right before the tool is told the end: it goes on from then, also without us. */
  onWhole: () => Promise<void>;
  /** Called when the tool is to be ended, which may take it a while. */
  onGiveUp: () => void;
  stop: AbortSignal;
}

/**
 * Feeds an archive, decompressed, to a restore tool while it is proved whole. Only when it was, the tool is told the
 * end of its input; on any failure, and by `stop`, it is killed instead.
 *
 * @throws {CommandError} of the tool, when that failed first
 * @throws {ArchiveDamage} when the archive is not whole, or not what was recorded
 */
export async function streamArchive(
  task: StreamTask,
  sink: JobSink,
): Promise<CommandEnd> {
  const { archive, stop, requireBytes } = task;
  // While one of the two waits for the other, neither must wait for ever.
  const giveUp = (reason: unknown) => Promise.all([sink.kill(reason), task.source.cancel(reason)]);
  const onStop = () => void giveUp(stop.reason).catch(() => {});
  stop.addEventListener("abort", onStop);
  let failure: unknown;
  try {
    stop.throwIfAborted();
    const feed = feeder(task, sink);
    const guarded = async (chunk: Uint8Array) => {
      try {
        await feed.write(chunk);
      } catch (error) {
        failure ??= error; // a decompressor whose output is not taken tells of that in its own way
        throw error;
      }
    };
    const { bytes, sha256 } = await proveWhole(task, guarded, giveUp);
    feed.end();
    requireRecorded(archive, sha256);
    requireBytes?.(bytes);
    stop.throwIfAborted();
    await task.onWhole();
  } catch (error) {
    const reason = stop.aborted ? stop.reason : failure ?? error;
    task.onGiveUp();
    await giveUp(reason).catch(() => {});
    throw reason;
  } finally {
    stop.removeEventListener("abort", onStop);
  }
  return await sink.end();
}

/** Takes bytes of the archive without its compression, and writes the storages into them. */
function feeder({ storages }: StreamTask, sink: JobSink) {
  const rewrite = storages && storageRewrite(storages);
  return {
    async write(chunk: Uint8Array): Promise<void> {
      for (const piece of rewrite?.push(chunk) ?? [chunk]) await sink.write(piece);
    },
    end: () => rewrite?.end(),
  };
}

async function proveWhole(
  { archive, compression, source, decoder, onBytes }: StreamTask,
  feed: (chunk: Uint8Array) => Promise<void>,
  giveUp: (reason: unknown) => Promise<unknown>,
): Promise<{ bytes: number; sha256: string | undefined }> {
  const isPacked = compression !== "none";
  const onContent = isPacked ? { onContent: feed } : {};
  const check = checkArchive({ kind: archive.kind, compression, ...onContent }, decoder);
  const whole: ByteSource = {
    read: (view) => source.read(view),
    cancel: async (reason) => void await giveUp(reason),
  };
  let bytes = 0;
  const { contents, sha256 } = await readWhole(whole, check, {
    isHashed: archive.sha256 !== undefined,
    beside: async (chunk) => {
      if (!isPacked) await feed(chunk);
      bytes += chunk.byteLength;
      onBytes(bytes);
    },
  });
  return { bytes: contents.bytes, sha256 };
}
