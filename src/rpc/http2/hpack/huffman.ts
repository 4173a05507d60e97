import { HpackError } from "./primitives.ts";

/**
 * Length in bits of each symbol's code, one digit of base 36 per symbol from 0 to 256 (RFC 7541 appendix B). The
 * code is canonical: the codes of one length count up in the order of the symbols, so the lengths are the code.
 */
const LENGTHS = "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq" +
  "u";

const END_OF_STRING = 256;
const MAX_LENGTH = 30;

/** The symbols in the order of their codes, and for each length where its codes start in there and in value. */
const { symbols, firstCode, firstPlace, count } = canonicalCode();

/** Decodes a Huffman-coded string into its bytes (RFC 7541 section 5.2). */
export function decodeHuffman(bytes: Uint8Array): Uint8Array {
  // The shortest code has 5 bits.
  const out = new Uint8Array(Math.floor(bytes.length * 8 / 5));
  let used = 0;
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code << 1 | byte >> bit & 1;
      length++;
      const place = code - firstCode[length]!;
      if (place < count[length]!) {
        const symbol = symbols[firstPlace[length]! + place]!;
        if (symbol === END_OF_STRING) throw new HpackError("Huffman string holds its end mark");
        out[used++] = symbol;
        code = 0;
        length = 0;
      }
    }
  }
  // What is left over must be less than a byte of the end mark's code, which is all ones.
  if (length > 7 || code !== (1 << length) - 1) throw new HpackError("Huffman string is padded wrongly");
  return out.subarray(0, used);
}

function canonicalCode() {
  const lengths = [...LENGTHS].map((digit) => parseInt(digit, 36));
  const symbols: number[] = [];
  const firstCode: number[] = [];
  const firstPlace: number[] = [];
  const count: number[] = [];
  let code = 0;
  for (let length = 0; length <= MAX_LENGTH; length++) {
    const here = lengths.flatMap((each, symbol) => each === length ? [symbol] : []);
    firstCode.push(code);
    firstPlace.push(symbols.length);
    count.push(here.length);
    symbols.push(...here);
    code = code + here.length << 1;
  }
  return { symbols, firstCode, firstPlace, count };
}
