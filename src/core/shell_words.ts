/** `words` as `sh` reads them back, whatever they hold. */
export function quoteWords(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** One word of a command line for people to type: in quotes only where it takes them. */
export function readableWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : quoteWords([word]);
}
