import { createHash } from "node:crypto";
import { BUFFER_BYTES, type ByteSource } from "../core/bytes.ts";
import type { ArchiveCheck, ArchiveContents } from "./contents.ts";

/**
 * Reads an archive from its first byte to its last through a check, and through sha256 where `isHashed`, which costs
 * more than all the rest. `beside` sees each chunk while the check works on it, and the next is read meanwhile. On any failure source and check are
 * cancelled.
 *
 * @throws {ArchiveDamage} unless the archive is whole
 */
export async function readWhole(
  source: ByteSource,
  check: ArchiveCheck,
  { isHashed, beside }: { isHashed: boolean; beside?: (chunk: Uint8Array) => Promise<void> },
): Promise<{ contents: ArchiveContents; sha256?: string }> {
  const hash = isHashed ? createHash("sha256") : undefined;
  try {
    const buffers = [new ArrayBuffer(BUFFER_BYTES), new ArrayBuffer(BUFFER_BYTES)];
    const read = () => source.read(new Uint8Array(buffers.pop() as ArrayBuffer));
    let coming = read();
    for (;;) {
      const chunk = await coming;
      if (chunk.byteLength === 0) break;
      coming = read();
      coming.catch(() => {}); // awaited in its turn
      const meanwhile = beside?.(chunk);
      meanwhile?.catch(() => {}); // awaited below, after the work that runs beside it
      hash?.update(chunk);
      await check.push(chunk);
      await meanwhile;
      buffers.push(chunk.buffer);
    }
    const contents = await check.end();
    return hash ? { contents, sha256: hash.digest("hex") } : { contents };
  } catch (error) {
    await Promise.allSettled([source.cancel(error), check.cancel(error)]);
    throw error;
  }
}
