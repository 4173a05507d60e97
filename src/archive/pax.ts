import type { Position } from "./stream_walk.ts";
import { padded, textIn } from "./tar_header.ts";

/** What an extended header changes about the next member. */
export interface PaxOverrides {
  name?: string;
  /** Bytes of data in the archive. */
  size?: number;
  /** The data begins with a map of GNU's sparse format 1.0. */
  isSparse?: boolean;
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;

/**
 * Reads the records `<length> <key>=<value>\n` of a pax extended header that starts at byte `start`.
 * Throws when a record does not end where its length says.
 */
export function readPax(at: Position, start: number, data: Uint8Array): PaxOverrides {
  const overrides: PaxOverrides = {};
  let sparseName: string | undefined;
  let offset = 0;
  // Some writers fill up with NULs.
  while (offset < data.length && data[offset] !== 0) {
    const { key, value, next } = recordAt(at, start, data, offset);
    if (key === "path") overrides.name = textIn(value);
    // A sparse member is stored as ./GNUSparseFile.N/name; its real name and size come under these keys.
    // The real size is the file's, not that of the data in the archive.
    if (key === "GNU.sparse.name") sparseName = textIn(value);
    if (key === "GNU.sparse.major") overrides.isSparse = true;
    if (key === "size") {
      const size = Number(textIn(value));
      if (!/^\d+$/.test(textIn(value)) || !Number.isSafeInteger(size)) {
        throw at.damage(start + offset, "the size in an extended header is no number");
      }
      overrides.size = size;
    }
    offset = next;
  }
  if (sparseName !== undefined) overrides.name = sparseName;
  return overrides;
}

interface PaxRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** Offset of the record behind this one. */
  readonly next: number;
}

function recordAt(at: Position, start: number, data: Uint8Array, offset: number): PaxRecord {
  const space = data.indexOf(SPACE, offset);
  const digits = space < 0 || space - offset > 10 ? "" : textIn(data.subarray(offset, space));
  const next = offset + Number(digits);
  const equals = data.indexOf(EQUALS, space);
  if (
    !/^[1-9]\d*$/.test(digits) || next > data.length || data[next - 1] !== NEWLINE || equals < 0 ||
    equals >= next
  ) {
    throw at.damage(start + offset, "an extended header holds something that is no record");
  }
  return { key: textIn(data.subarray(space + 1, equals)), value: data.subarray(equals + 1, next - 1), next };
}

/**
 * The content of a member in GNU's sparse format 1.0: decimal lines (number of pieces; offset and
 * size of each), filled up to a block, then the pieces. Even a small file comes so from a filesystem
 * that has not allocated its blocks yet. `undefined`: the map is wrong, or the content above `limit` bytes.
 */
export function expandSparse(data: Uint8Array, limit: number): Uint8Array | undefined {
  let offset = 0;
  const nextNumber = () => {
    const end = data.indexOf(NEWLINE, offset);
    const line = end < 0 ? "" : textIn(data.subarray(offset, end));
    offset = end + 1;
    return /^\d{1,15}$/.test(line) ? Number(line) : NaN;
  };
  const pieces: { start: number; size: number }[] = [];
  for (let count = nextNumber(); count > 0; count--) {
    const piece = { start: nextNumber(), size: nextNumber() };
    if (!(piece.start + piece.size <= limit)) return undefined;
    pieces.push(piece);
  }
  const content = new Uint8Array(Math.max(0, ...pieces.map(({ start, size }) => start + size)));
  let from = padded(offset);
  for (const { start, size } of pieces) {
    if (from + size > data.length) return undefined;
    content.set(data.subarray(from, from + size), start);
    from += size;
  }
  return from === data.length ? content : undefined;
}
