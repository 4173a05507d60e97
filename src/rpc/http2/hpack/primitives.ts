/** The bytes are no valid HPACK; the tables of both sides have come apart for good (RFC 9113 section 4.3). */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

/** The largest integer taken: what any length, index or table size can need, and far from overflowing. */
const MAX_INTEGER = 2 ** 28;

/** A place in a header block. */
export interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

/**
 * The integer at the cursor, whose first `prefixBits` bits share their byte with something else
 * (RFC 7541 section 5.1). Moves the cursor behind it.
 */
export function readInteger(cursor: Cursor, prefixBits: number): number {
  const mask = (1 << prefixBits) - 1;
  let value = nextByte(cursor) & mask;
  if (value < mask) return value;
  for (let factor = 1;; factor *= 128) {
    const byte = nextByte(cursor);
    value += (byte & 0x7f) * factor;
    // The factor counts too: endless bytes of zero value must not go on for ever.
    if (value > MAX_INTEGER || factor > MAX_INTEGER) throw new HpackError("Integer is too large");
    if (byte < 0x80) return value;
  }
}

/** Appends `value` with its first bits in a byte that starts with `pattern`. */
export function writeInteger(out: number[], pattern: number, prefixBits: number, value: number): void {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    out.push(pattern | value);
    return;
  }
  out.push(pattern | mask);
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push(rest % 128 + 128);
  out.push(rest);
}

function nextByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at++];
  if (byte === undefined) throw new HpackError("Header block ends in the middle of a field");
  return byte;
}
