import { ENVELOPE_PREFIX_BYTES, writeEnvelopePrefix } from "./envelope.ts";

/** Bytes of the field's length: a varint of this fixed width, so that the data can lie there before it is known. */
const LENGTH_BYTES = 4;

/** Room that a message of one bytes field needs before its data: gRPC's prefix, the field's tag, its length. */
export const CHUNK_PREFIX_BYTES = ENVELOPE_PREFIX_BYTES + 1 + LENGTH_BYTES;

/** Protobuf's wire type of fields with a length. */
const LENGTH_DELIMITED = 2;

/**
 * Writes to `target` all that stands before `length` bytes of data in a gRPC message whose only content they are,
 * as bytes field number `field`. Throws a RangeError for a field above 15, whose tag would be longer, for a length
 * of 256 MiB or more, and when `target` is not of `CHUNK_PREFIX_BYTES`.
 */
export function writeChunkPrefix(target: Uint8Array, field: number, length: number): void {
  if (target.length !== CHUNK_PREFIX_BYTES || field < 1 || field > 15 || length >= 1 << (7 * LENGTH_BYTES)) {
    throw new RangeError(
      `Cannot lay out a chunk of ${length} bytes in field ${field} with ${target.length} bytes before it`,
    );
  }
  writeEnvelopePrefix(target, 1 + LENGTH_BYTES + length);
  target[ENVELOPE_PREFIX_BYTES] = field << 3 | LENGTH_DELIMITED;
  // A varint may be longer than it needs to be: seven bits a byte, the lowest first, all but the last marked.
  for (let index = 0; index < LENGTH_BYTES; index++) {
    const isLast = index === LENGTH_BYTES - 1;
    target[ENVELOPE_PREFIX_BYTES + 1 + index] = length >>> 7 * index & 0x7f | (isLast ? 0 : 0x80);
  }
}
