import type { Position } from "./stream_walk.ts";

export const TAR_BLOCK_BYTES = 512;

/** The fields of a tar member's header that decide how to go on. */
export interface TarHeader {
  readonly name: string;
  /** One character: `0` file, `x` extended header, `L` long name, … */
  readonly type: string;
  /** Bytes of data that follow the header, before padding. A pax `size` overrides it. */
  readonly size: number;
  /** Old GNU sparse members only: more blocks of the map follow the header. */
  readonly mapGoesOn: boolean;
}

const CHECKSUM_OFFSET = 148;
const CHECKSUM_BYTES = 8;

/** Reads the header block that starts at byte `start`. Throws when its checksum or a number is wrong. */
export function readTarHeader(at: Position, start: number, block: Uint8Array): TarHeader {
  const checksum = numberIn(block, CHECKSUM_OFFSET, CHECKSUM_BYTES);
  const sums = checksumsOf(block);
  if (checksum === undefined || !sums.includes(checksum)) {
    throw at.damage(start, "what should be a tar header does not match its checksum");
  }
  const size = numberIn(block, 124, 12);
  if (size === undefined) throw at.damage(start + 124, "the size of the tar member is no number");
  const type = String.fromCharCode(block[156] ?? 0);
  return {
    name: nameIn(block),
    type,
    // A hard link has no data whatever its size field says; GNU tar reads it so too.
    size: type === "1" ? 0 : size,
    mapGoesOn: type === "S" && block[482] !== 0,
  };
}

/** Is this block all zero? Two of them end a tar. */
export function isZero(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

/** Bytes with the padding to whole blocks. */
export function padded(bytes: number): number {
  return Math.ceil(bytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}

/** Bytes up to the first NUL as text. */
export function textIn(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function nameIn(block: Uint8Array): string {
  const name = textIn(block.subarray(0, 100));
  // Old GNU tar keeps other things in the prefix field; its magic goes on with a space, not NUL.
  const prefix = block[262] === 0 && block[257] !== 0 ? textIn(block.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Sums of the bytes, the checksum's own as spaces: unsigned, and signed as some old programs count. */
function checksumsOf(block: Uint8Array): [number, number] {
  let unsigned = 0;
  let high = 0;
  for (let index = 0; index < TAR_BLOCK_BYTES; index++) {
    const inChecksum = index >= CHECKSUM_OFFSET && index < CHECKSUM_OFFSET + CHECKSUM_BYTES;
    const byte = inChecksum ? 0x20 : block[index] ?? 0;
    unsigned += byte;
    if (byte > 127) high += 1;
  }
  return [unsigned, unsigned - 256 * high];
}

/** An octal number, or base 256 when the top bit is set; `undefined` when it is neither or too large. */
function numberIn(block: Uint8Array, offset: number, length: number): number | undefined {
  const field = block.subarray(offset, offset + length);
  if (field[0] === 0x80) {
    let value = 0;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(String.fromCharCode(...field))?.[1];
  if (digits === undefined) return undefined;
  return digits === "" ? 0 : parseInt(digits, 8);
}
