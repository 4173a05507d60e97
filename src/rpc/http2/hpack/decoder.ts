import type { HeaderField } from "../stream.ts";
import { DynamicTable, fieldSize } from "./dynamic_table.ts";
import { decodeHuffman } from "./huffman.ts";
import { type Cursor, HpackError, readInteger } from "./primitives.ts";
import { STATIC_TABLE } from "./static_table.ts";

/** The table size that both sides start with (RFC 9113 section 6.5.2). */
export const DEFAULT_TABLE_SIZE = 4096;

export interface DecodedBlock {
  /** Each character of a name or value stands for one byte. */
  fields: HeaderField[];
  /** The fields were more than the limit and are not all here; the decoder is still good for the next block. */
  oversized: boolean;
}

/** Decodes the header blocks of one connection, which must come in the order of the wire and whole. */
export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #maxTableSize: number;
  readonly #maxListSize: number;

  /** `maxTableSize`: what our SETTINGS allow the peer; `maxListSize`: bytes as `fieldSize` counts them. */
  constructor(options: { maxTableSize?: number; maxListSize?: number } = {}) {
    this.#maxTableSize = options.maxTableSize ?? DEFAULT_TABLE_SIZE;
    this.#maxListSize = options.maxListSize ?? Infinity;
    this.#table = new DynamicTable(this.#maxTableSize);
  }

  /** Throws `HpackError`; no further block can be decoded then. */
  decode(block: Uint8Array): DecodedBlock {
    const cursor: Cursor = { bytes: block, at: 0 };
    this.#readSizeUpdates(cursor);
    const fields: HeaderField[] = [];
    let size = 0;
    while (cursor.at < block.length) {
      const field = this.#readField(cursor);
      size += fieldSize(field);
      // One byte can stand for a field of 4 KiB: what is over the limit must not pile up.
      if (size <= this.#maxListSize) fields.push(field);
    }
    return { fields, oversized: size > this.#maxListSize };
  }

  /** Table size updates stand at the start of a block only (RFC 7541 section 4.2). */
  #readSizeUpdates(cursor: Cursor): void {
    while ((cursor.bytes[cursor.at] ?? 0) >> 5 === 0b001) {
      const size = readInteger(cursor, 5);
      if (size > this.#maxTableSize) throw new HpackError("Table size update is over the limit");
      this.#table.resize(size);
    }
  }

  #readField(cursor: Cursor): HeaderField {
    const first = cursor.bytes[cursor.at]!;
    if (first & 0x80) return this.#lookUp(readInteger(cursor, 7));
    if (first & 0x40) {
      const field = this.#readLiteral(cursor, 6);
      this.#table.add(field);
      return field;
    }
    if (first & 0x20) throw new HpackError("Table size update stands behind a field");
    return this.#readLiteral(cursor, 4);
  }

  #readLiteral(cursor: Cursor, prefixBits: number): HeaderField {
    const index = readInteger(cursor, prefixBits);
    const name = index === 0 ? readString(cursor) : this.#lookUp(index)[0];
    return [name, readString(cursor)];
  }

  #lookUp(index: number): HeaderField {
    const field = index <= STATIC_TABLE.length
      ? STATIC_TABLE[index - 1]
      : this.#table.get(index - STATIC_TABLE.length - 1);
    if (!field) throw new HpackError("Field index is in no table");
    return field;
  }
}

function readString(cursor: Cursor): string {
  const huffman = ((cursor.bytes[cursor.at] ?? 0) & 0x80) !== 0;
  const length = readInteger(cursor, 7);
  const end = cursor.at + length;
  if (end > cursor.bytes.length) throw new HpackError("String is longer than its header block");
  const coded = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return byteString(huffman ? decodeHuffman(coded) : coded);
}

/** TextDecoder's "latin1" is windows-1252, which changes bytes. */
function byteString(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
