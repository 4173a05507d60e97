/** Most bytes that are read of a text file. */
export const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/** Text in UTF-8, or else in Latin-1, which any bytes are. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}
