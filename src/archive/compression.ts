import type { ArchiveFormat, Compression } from "./contents.ts";

/** What the first bytes of an archive say. `format` is known for uncompressed archives only. */
export type Recognized =
  | { readonly compression: "none"; readonly format: ArchiveFormat }
  | { readonly compression: Exclude<Compression, "none"> };

/** A tar header's magic ends here; no other magic lies deeper. */
export const MAGIC_BYTES = 262;

const TAR_MAGIC_OFFSET = 257;
const COMPRESSED: readonly (readonly [Exclude<Compression, "none">, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["lzo", [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];
const VMA_MAGIC = [0x56, 0x4d, 0x41, 0x00];
/** `ustar`; pax goes on with NUL and `00`, old GNU tar with two spaces. */
const TAR_MAGIC = [0x75, 0x73, 0x74, 0x61, 0x72];

/**
 * Reads the magic in the first bytes of an archive. Give it {@linkcode MAGIC_BYTES} bytes, or all
 * there are. `undefined`: this is no archive that vzdump writes.
 */
export function recognize(first: Uint8Array): Recognized | undefined {
  for (const [compression, magic] of COMPRESSED) {
    if (startsWith(first, 0, magic)) return { compression };
  }
  if (startsWith(first, 0, VMA_MAGIC)) return { compression: "none", format: "vma" };
  if (startsWith(first, TAR_MAGIC_OFFSET, TAR_MAGIC)) return { compression: "none", format: "tar" };
  return undefined;
}

/** The first bytes for a message: `00 ff 1f`, at most eight. */
export function hexStart(first: Uint8Array): string {
  return Array.from(first.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function startsWith(bytes: Uint8Array, offset: number, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[offset + index] === byte);
}
