import { checkArchive } from "../archive/check.ts";
import { withStorages } from "../archive/map_storages.ts";
import {
  type ArchiveContents,
  ArchiveDamage,
  type Compression,
  type DecoderFactory,
} from "../archive/contents.ts";
import { readWhole } from "../archive/read_whole.ts";
import { VmaRewrite } from "../archive/vma_rewrite.ts";
import type { ByteSource } from "../core/bytes.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { GuestKind } from "../core/guest.ts";
import { usableSpace } from "../core/space.ts";
import { mapFor, namesDisks, type StorageMap } from "../core/storage_map.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";

/** Bytes written between two looks at the free space. */
const SPACE_CHECK_BYTES = 64 * 1024 * 1024;

export interface StageTask {
  archive: StoredArchive;
  compression: Compression;
  source: ByteSource;
  node: ProxmoxNode;
  /** Where the archive goes: a new file. */
  path: string;
  /** Storages to write into the archive of a VM, which then is staged without its compression, see `storagesToWrite`. */
  storages?: StorageMap | undefined;
  decoder: DecoderFactory;
  onBytes: (bytes: number) => void;
  stop: AbortSignal;
}

/**
 * The storages that must be written into an archive before it is restored; `undefined`: none. qmrestore takes one
 * storage for all disks, or for each the one that the archive names.
 */
export function storagesToWrite(kind: GuestKind, map: StorageMap | undefined): StorageMap | undefined {
  if (map === undefined || kind !== "qemu") return undefined;
  const own = mapFor(kind, map);
  return namesDisks(own) ? own : undefined;
}

/**
 * Brings an archive onto the node and proves it whole on the way: size, sha256 where it was recorded, and its
 * contents through the decompressor into the walk of VMA or tar. The file counts only when this resolved.
 */
export async function stageArchive(task: StageTask): Promise<ArchiveContents> {
  const { archive, onBytes, stop, compression } = task;
  const file = new StagedFile(task, await createFile(task));
  const isUnpacked = task.storages !== undefined && compression !== "none";
  let bytes = 0;
  try {
    const onContent = isUnpacked ? { onContent: (chunk: Uint8Array) => file.write(chunk) } : {};
    const check = checkArchive({ kind: archive.kind, compression, ...onContent }, task.decoder);
    const { contents, sha256 } = await readWhole(task.source, check, {
      isHashed: archive.sha256 !== undefined,
      beside: async (chunk) => {
        stop.throwIfAborted();
        if (!isUnpacked) await file.write(chunk);
        bytes += chunk.byteLength;
        onBytes(bytes);
      },
    });
    await file.close();
    requireRecorded(archive, sha256);
    return contents;
  } catch (error) {
    // A decompressor whose output is not taken tells of that in its own way.
    const reason = file.failure ?? error;
    await file.abort();
    throw reason;
  }
}

/** Writes storages into the archive of a VM while it passes. */
export function storageRewrite(storages: StorageMap): VmaRewrite {
  return new VmaRewrite(({ name, data }) =>
    name === "qemu-server.conf" ? withStorages(data, storages) : data
  );
}

type Writer = Awaited<ReturnType<typeof createFile>>;

/** The file on the node, in which storages are written on the way. */
class StagedFile {
  readonly #rewrite: VmaRewrite | undefined;
  #bytes = 0;
  #spaceCheckAt = SPACE_CHECK_BYTES;
  /** Why it could not be written. */
  failure: unknown;

  constructor(private readonly task: StageTask, private readonly writer: Writer) {
    this.#rewrite = task.storages && storageRewrite(task.storages);
  }

  /** Takes bytes of the archive as it is to be written, without its storages. */
  async write(chunk: Uint8Array): Promise<void> {
    const pieces = this.#rewrite?.push(chunk) ?? [chunk];
    try {
      for (const piece of pieces) await this.#append(piece);
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }

  /** The file counts only when this resolved. */
  async close(): Promise<void> {
    this.#rewrite?.end();
    await onDisk(this.writer.close());
    const { node, path } = this.task;
    const size = (await node.runner.files.stat(path))?.size;
    if (size === this.#bytes) return;
    throw new ArchiveDamage(`${this.#bytes} bytes were written to "${path}", but it has ${size ?? "none"}`);
  }

  async abort(): Promise<void> {
    await this.writer.abort().catch(() => {});
  }

  async #append(piece: Uint8Array): Promise<void> {
    await onDisk(this.writer.write(piece));
    this.#bytes += piece.byteLength;
    if (this.#bytes < this.#spaceCheckAt) return;
    this.#spaceCheckAt += SPACE_CHECK_BYTES;
    const { node, path, archive, storages } = this.task;
    // How large an archive without its compression becomes is not known: at least until the next look.
    const least = storages === undefined ? 0 : SPACE_CHECK_BYTES;
    await requireSpace(node, path, Math.max(least, archive.bytes - this.#bytes));
  }
}

/** The archive could not be written where it is staged: nothing is wrong with it. */
class NotStaged extends Error {
  override readonly name = "NotStaged";
}

async function onDisk(written: Promise<void>): Promise<void> {
  try {
    await written;
  } catch (cause) {
    throw cause instanceof UserError ? cause : new NotStaged(messageOf(cause), { cause });
  }
}

/** Makes the new file; where it cannot, the source is freed: nobody else will. */
async function createFile({ archive, source, node, path }: StageTask) {
  try {
    await requireSpace(node, path, archive.bytes);
    return await node.runner.files.create(path);
  } catch (error) {
    await source.cancel(error).catch(() => {});
    throw error;
  }
}

/** The error for people when staging fails, and what it leaves: the guests as they are. `what`: `VM 101`. */
export function stageFailure(what: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  const kind = error instanceof NotStaged ? "failed" : "damage";
  return new UserError(kind, `Cannot restore ${what}: ${messageOf(error)}`, {
    hint: "nothing was changed",
    cause: error,
  });
}

/** Refuses an archive with another digest than was recorded. */
export function requireRecorded(archive: StoredArchive, sha256: string | undefined): void {
  if (archive.sha256 === undefined || archive.sha256 === sha256) return;
  throw new ArchiveDamage(`Archive has sha256 ${sha256}, but ${archive.sha256} was recorded at the backup`);
}

async function requireSpace(node: ProxmoxNode, path: string, needed: number): Promise<void> {
  const dir = path.slice(0, path.lastIndexOf("/"));
  const space = await node.runner.files.freeSpace(dir);
  if (needed <= usableSpace(space)) return;
  const mib = (count: number) => `${Math.ceil(count / 1024 ** 2)} MiB`;
  throw new UserError("failed", `Cannot stage the archive in "${dir}": it needs ${mib(needed)} more`, {
    hint: `${mib(space.free)} are free, of which max(5 %, 2 GiB) must stay free; give another --dump-dir`,
  });
}
