/** Small files that survive a crash: synced, renamed into place, the directory synced. */
import { PART } from "./layout.ts";

/** Makes creations and renames in a directory durable. */
export async function syncDir(path: string): Promise<void> {
  const dir = await Deno.open(path, { read: true });
  try {
    await dir.sync();
  } catch {
    // Not every filesystem can sync a directory (FAT, some network mounts); the files in it are synced.
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
  const file = await Deno.open(part, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    await writeAll(file, new TextEncoder().encode(JSON.stringify(document, null, 2) + "\n"));
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(part, path);
}
