import type { HeaderField } from "../stream.ts";
import { writeInteger } from "./primitives.ts";
import { STATIC_TABLE } from "./static_table.ts";

/**
 * The instruction that sets the table which the peer keeps for us to size 0 (RFC 7541 section 6.3). Sent once,
 * before the first block's fields, it makes every later SETTINGS_HEADER_TABLE_SIZE of the peer one that we keep:
 * an encoder must act only on a limit below the size it uses (RFC 9113 section 4.3.1).
 */
export const NO_TABLE = Uint8Array.of(0x20);

const LITERAL = 0x00;
const INDEXED = 0x80;

const indexByField = new Map(STATIC_TABLE.map(([name, value], place) => [`${name}\0${value}`, place + 1]));
// The first entry of a name wins, hence from the end.
const indexByName = new Map(STATIC_TABLE.map(([name], place) => [name, place + 1] as const).reverse());

/**
 * Encodes fields by the static table and literals alone: blocks depend on no other block, so streams may encode
 * theirs in any order. A character stands for one byte; throws `TypeError` for one beyond U+00FF.
 */
export function encodeFields(fields: readonly HeaderField[]): Uint8Array {
  const out: number[] = [];
  for (const [name, value] of fields) {
    const index = indexByField.get(`${name}\0${value}`);
    if (index !== undefined) {
      writeInteger(out, INDEXED, 7, index);
      continue;
    }
    const nameIndex = indexByName.get(name) ?? 0;
    writeInteger(out, LITERAL, 4, nameIndex);
    if (nameIndex === 0) writeString(out, name);
    writeString(out, value);
  }
  return Uint8Array.from(out);
}

function writeString(out: number[], text: string): void {
  writeInteger(out, 0x00, 7, text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff) throw new TypeError(`Cannot encode header field: "${text}" is no byte string`);
    out.push(code);
  }
}
