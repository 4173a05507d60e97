import { checkArchive } from "../archive/check.ts";
import {
  type ArchiveContents,
  ArchiveDamage,
  type Compression,
  type DecoderFactory,
} from "../archive/contents.ts";
import { readWhole } from "../archive/read_whole.ts";
import type { ByteSource } from "../core/bytes.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import { usableSpace } from "../core/space.ts";
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
  decoder: DecoderFactory;
  onBytes: (bytes: number) => void;
  stop: AbortSignal;
}

/**
 * Brings an archive onto the node and proves it whole on the way: size, sha256 where it was recorded, and its
 * contents through the decompressor into the walk of VMA or tar. The file counts only when this resolved.
 */
export async function stageArchive(task: StageTask): Promise<ArchiveContents> {
  const { archive, path, onBytes, stop, compression } = task;
  const writer = await createFile(task);
  let bytes = 0;
  let spaceCheckAt = SPACE_CHECK_BYTES;
  try {
    const check = checkArchive({ kind: archive.kind, compression }, task.decoder);
    const { contents, sha256 } = await readWhole(task.source, check, {
      isHashed: archive.sha256 !== undefined,
      beside: async (chunk) => {
        stop.throwIfAborted();
        await writer.write(chunk);
        bytes += chunk.byteLength;
        if (bytes >= spaceCheckAt) {
          spaceCheckAt += SPACE_CHECK_BYTES;
          await requireSpace(task.node, path, Math.max(0, archive.bytes - bytes));
        }
        onBytes(bytes);
      },
    });
    await writer.close();
    await requireSame(task, bytes, sha256);
    return contents;
  } catch (error) {
    await writer.abort().catch(() => {});
    throw error;
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
  return new UserError("damage", `Cannot restore ${what}: ${messageOf(error)}`, {
    hint: "nothing was changed",
    cause: error,
  });
}

async function requireSame(
  { archive, node, path }: StageTask,
  bytes: number,
  sha256: string | undefined,
): Promise<void> {
  const size = (await node.runner.files.stat(path))?.size;
  if (size !== bytes) {
    throw new ArchiveDamage(`${bytes} bytes were written to "${path}", but it has ${size ?? "none"}`);
  }
  if (archive.sha256 !== undefined && archive.sha256 !== sha256) {
    throw new ArchiveDamage(`Archive has sha256 ${sha256}, but ${archive.sha256} was recorded at the backup`);
  }
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
