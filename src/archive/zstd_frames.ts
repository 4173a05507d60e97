import { type Position, skip, take, upTo, type Walk } from "./stream_walk.ts";
import { viewOf } from "./vma_header.ts";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const MAX_BLOCK_BYTES = 128 * 1024;
/** Block types; the one before `RUN` is "stored". */
const RUN = 1;
const RESERVED = 3;

/**
 * Walks zstd frames (RFC 8878) block by block without decompressing them. Notices a cut anywhere and
 * bytes behind the last frame, not damage inside a block. Answers how many frames hold data.
 */
export function* walkZstd(at: Position): Walk<number> {
  let frames = 0;
  for (;;) {
    const start = at.offset;
    const magicBytes = yield upTo(4);
    if (magicBytes.length === 0 && frames > 0) return frames;
    if (magicBytes.length < 4) throw at.cut("where a zstd frame should begin");
    const magic = viewOf(magicBytes).getUint32(0, true);
    if (magic === FRAME_MAGIC) {
      yield* passFrame(at, start);
      frames += 1;
    } else if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      const size = viewOf(yield take(4, "a skippable zstd frame")).getUint32(0, true);
      yield skip(size, `the skippable zstd frame at byte ${start}`);
    } else {
      throw at.damage(start, "there is no zstd frame");
    }
  }
}

function* passFrame(at: Position, start: number): Walk<void> {
  const { blockLimit, hasChecksum } = yield* readFrameHeader(at, start);
  for (let isLast = false; !isLast;) {
    const blockStart = at.offset;
    const [low = 0, middle = 0, high = 0] = yield take(3, `the zstd frame at byte ${start}`);
    isLast = (low & 1) === 1;
    const type = (low >> 1) & 3;
    const size = (low >> 3) | (middle << 5) | (high << 13);
    if (type === RESERVED) throw at.damage(blockStart, "a zstd block has the reserved type");
    if (size > blockLimit) {
      throw at.damage(blockStart, `a zstd block claims ${size} bytes, at most ${blockLimit} may be`);
    }
    // A compressed block holds at least the headers of its two sections.
    if (type > RUN && size < 2) throw at.damage(blockStart, `a compressed zstd block claims ${size} bytes`);
    yield skip(type === RUN ? 1 : size, `the zstd block at byte ${blockStart}`);
  }
  if (hasChecksum) yield skip(4, `the checksum of the zstd frame at byte ${start}`);
}

interface FrameHeader {
  /** Most bytes that a block may have, stored and decompressed. */
  readonly blockLimit: number;
  readonly hasChecksum: boolean;
}

function* readFrameHeader(at: Position, start: number): Walk<FrameHeader> {
  const what = `the header of the zstd frame at byte ${start}`;
  const [descriptor = 0] = yield take(1, what);
  if ((descriptor & 0x08) !== 0) throw at.damage(start + 4, "a zstd frame header has a reserved bit set");
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const windowBytes = isSingleSegment ? 0 : 1;
  const fields = yield take(windowBytes + dictionaryBytes + sizeBytes, what);
  if (fields.subarray(windowBytes, windowBytes + dictionaryBytes).some((byte) => byte !== 0)) {
    throw at.damage(start, "a zstd frame needs a dictionary");
  }
  const window = isSingleSegment ? contentSize(fields.subarray(dictionaryBytes)) : windowSize(fields[0] ?? 0);
  return { blockLimit: Math.min(window, MAX_BLOCK_BYTES), hasChecksum: (descriptor & 0x04) !== 0 };
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + base / 8 * (descriptor & 7);
}

/** Little endian; the two-byte form counts from 256. */
function contentSize(field: Uint8Array): number {
  let size = field.length === 2 ? 256 : 0;
  field.forEach((byte, index) => size += byte * 256 ** index);
  return size;
}
