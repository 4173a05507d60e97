import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { type Position, skip, take, upTo, type Walk } from "./stream_walk.ts";
import { viewOf } from "./vma_header.ts";

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** The range of "version needed to extract" that lzop 1.04 takes. */
const OLDEST_NEEDED = 0x0900;
const NEWEST_NEEDED = 0x1040;
/** From this version on the header names the version needed, the level and the upper half of the time. */
const FULL_HEADER_VERSION = 0x0940;

const FLAG = {
  adler32OfData: 0x1,
  adler32OfBlock: 0x2,
  extraField: 0x40,
  crc32OfData: 0x100,
  crc32OfBlock: 0x200,
  multipart: 0x400,
  filter: 0x800,
  crc32OfHeader: 0x1000,
} as const;

/**
 * Walks an lzop file block by block without decompressing it. Notices a cut anywhere, damage to the
 * headers and bytes behind the end mark, not damage inside a block. vzdump writes one lzop file;
 * lzop itself exits with status 2 on several in a row, which fails a restore, so they are refused here.
 */
export function* walkLzop(at: Position): Walk<void> {
  const flags = yield* readFileHeader(at);
  while (yield* passBlock(at, flags));
  const rest = yield upTo(1);
  if (rest.length > 0) throw at.damage(at.offset - 1, "something follows the end mark of the lzop file");
}

/** Answers the flags. */
function* readFileHeader(at: Position): Walk<number> {
  const what = "the lzop header";
  const magic = yield take(MAGIC.length, what);
  if (!MAGIC.every((byte, index) => byte === magic[index])) throw at.damage(0, "there is no lzop header");
  const parts: Uint8Array[] = [];
  const version = uintIn(yield* keep(2, parts));
  const isFull = version >= FULL_HEADER_VERSION;
  yield* keep(2, parts);
  const needed = isFull ? uintIn(yield* keep(2, parts)) : version;
  if (needed < OLDEST_NEEDED || needed > NEWEST_NEEDED) {
    throw at.damage(9, `the lzop version 0x${needed.toString(16)} is not known`);
  }
  yield* keep(isFull ? 2 : 1, parts);
  const flags = uintIn(yield* keep(4, parts));
  yield* keep((flags & FLAG.filter ? 4 : 0) + (isFull ? 12 : 8), parts);
  const nameLength = uintIn(yield* keep(1, parts));
  yield* keep(nameLength, parts);
  const stored = uintIn(yield take(4, what));
  const header = Buffer.concat(parts);
  if (stored !== (flags & FLAG.crc32OfHeader ? crc32(header) : adler32(header))) {
    throw at.damage(0, "the lzop header does not match its checksum");
  }
  if (flags & FLAG.multipart) throw at.damage(0, "it is a part of a split lzop file");
  if (flags & FLAG.extraField) {
    const length = uintIn(yield take(4, what));
    yield skip(length + 4, "the extra field of the lzop header");
  }
  return flags;
}

/** Passes one block; false at the end mark. */
function* passBlock(at: Position, flags: number): Walk<boolean> {
  const start = at.offset;
  const what = `the lzop block at byte ${start}`;
  const dataBytes = uintIn(yield take(4, "the lzop file, its end mark is missing"));
  if (dataBytes === 0) return false;
  const blockBytes = uintIn(yield take(4, what));
  if (dataBytes > MAX_BLOCK_BYTES || blockBytes === 0 || blockBytes > dataBytes) {
    throw at.damage(start, `an lzop block claims ${blockBytes} bytes for ${dataBytes}`);
  }
  const ofData = count(flags, FLAG.adler32OfData, FLAG.crc32OfData);
  // A block that did not shrink is stored, and its data's checksum serves for both.
  const ofBlock = blockBytes < dataBytes ? count(flags, FLAG.adler32OfBlock, FLAG.crc32OfBlock) : 0;
  yield skip(4 * (ofData + ofBlock) + blockBytes, what);
  return true;
}

function* keep(bytes: number, parts: Uint8Array[]): Walk<Uint8Array> {
  const piece = (yield take(bytes, "the lzop header")).slice();
  parts.push(piece);
  return piece;
}

function count(flags: number, ...wanted: number[]): number {
  return wanted.filter((flag) => (flags & flag) !== 0).length;
}

/** One, two or four bytes, big endian. */
function uintIn(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  if (bytes.length === 1) return view.getUint8(0);
  return bytes.length === 2 ? view.getUint16(0) : view.getUint32(0);
}

function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (const byte of bytes) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return high * 65536 + low;
}
