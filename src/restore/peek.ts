import { checkArchive } from "../archive/check.ts";
import type { ArchiveHead, DecoderFactory } from "../archive/contents.ts";
import { BUFFER_BYTES, type ByteSource } from "../core/bytes.ts";
import type { GuestKind } from "../core/guest.ts";

/**
 * Reads an archive just as far as its configuration and disks are known: both stand at its beginning. What
 * follows is not looked at; the source is cancelled.
 *
 * @throws {ArchiveDamage} when the beginning is no archive of a guest of `kind`
 */
export async function peekArchive(
  source: ByteSource,
  kind: GuestKind,
  decoder: DecoderFactory,
): Promise<ArchiveHead> {
  let head: ArchiveHead | undefined;
  const check = checkArchive({ kind, onHead: (found) => head = found }, decoder);
  try {
    let buffer = new ArrayBuffer(BUFFER_BYTES);
    while (head === undefined) {
      const chunk = await source.read(new Uint8Array(buffer));
      if (chunk.byteLength === 0) break;
      await check.push(chunk);
      buffer = chunk.buffer;
    }
    // A small compressed archive may be wholly inside the decompressor still.
    return head ?? await check.end().then(() => head as ArchiveHead);
  } finally {
    await Promise.allSettled([check.cancel("enough seen"), source.cancel("enough seen")]);
  }
}
