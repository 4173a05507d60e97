/** Small files that survive a crash: synced, renamed into place, the directory synced. */
import { PART } from "./layout.ts";

/** What filesystems say that cannot sync a directory (FAT, some network mounts); the files in it are synced. */
const NO_DIRECTORY_SYNC = ["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"];

/**
 * Makes creations and renames in a directory durable. Rejects where they did not reach the disk. A directory that we
 * may not open for reading is left alone.
 */
export async function syncDir(path: string): Promise<void> {
  const dir = await Deno.open(path, { read: true }).catch((error) => {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
  });
  if (!dir) return;
  try {
    await dir.sync();
  } catch (error) {
    if (!NO_DIRECTORY_SYNC.includes(String((error as { code?: unknown }).code))) throw error;
  } finally {
    dir.close();
  }
}

/** Writes all of `bytes`: one write may take fewer. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let taken = 0; taken < bytes.byteLength;) taken += await file.write(bytes.subarray(taken));
}

/** Writes a JSON document to `path` in one step: readers see all of it or nothing. Mode 0600. */
export async function writeJson(path: string, document: unknown): Promise<void> {
  const part = path + PART;
  try {
    await writeSynced(part, new TextEncoder().encode(JSON.stringify(document, null, 2) + "\n"));
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {});
    throw error;
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    await writeAll(file, bytes);
    await file.sync();
  } finally {
    file.close();
  }
}
