import { checkArchive } from "../archive/check.ts";
import { ArchiveDamage, type ArchiveHead, type DecoderFactory } from "../archive/contents.ts";
import { BUFFER_BYTES, type ByteSource } from "../core/bytes.ts";
import type { GuestKind } from "../core/guest.ts";

/** Bytes of an archive in which its configuration must have come; vzdump writes it first. */
const MOST_HEAD_BYTES = 32 * 1024 * 1024;

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

/**
 * As `peekArchive`, for an archive that comes only once: answers a source with all of it as well. On a failure
 * `source` is cancelled.
 */
export async function readHead(
  source: ByteSource,
  kind: GuestKind,
  decoder: DecoderFactory,
): Promise<{ head: ArchiveHead; source: ByteSource }> {
  const taken: Uint8Array[] = [];
  let bytes = 0;
  const beginning: ByteSource = {
    async read(view) {
      if (bytes > MOST_HEAD_BYTES) throw new ArchiveDamage("Archive does not begin with its configuration");
      const chunk = await source.read(view);
      taken.push(chunk.slice());
      bytes += chunk.byteLength;
      return chunk;
    },
    cancel: () => Promise.resolve(),
  };
  try {
    const head = await peekArchive(beginning, kind, decoder);
    return { head, source: followedBy(taken, source) };
  } catch (error) {
    await source.cancel(error).catch(() => {});
    throw error;
  }
}

/** The pieces, then what is left of the source; an empty piece was its end. */
function followedBy(pieces: Uint8Array[], source: ByteSource): ByteSource {
  return {
    read(view) {
      const [first] = pieces;
      if (first === undefined) return source.read(view);
      const part = first.subarray(0, view.byteLength);
      view.set(part);
      if (part.byteLength < first.byteLength) pieces[0] = first.subarray(part.byteLength);
      else if (first.byteLength > 0) pieces.shift();
      return Promise.resolve(view.subarray(0, part.byteLength));
    },
    cancel(reason) {
      pieces.length = 0;
      return source.cancel(reason);
    },
  };
}
