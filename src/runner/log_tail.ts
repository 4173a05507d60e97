/** Longest line that is kept, bytes; the rest of a longer one is dropped. */
export const MAX_LINE_BYTES = 4 * 1024;

/** How much of a log is kept, bytes of UTF-8. */
export const MAX_TAIL_BYTES = 64 * 1024;

const NEWLINE = 0x0a;
const encoder = new TextEncoder();

/** Cuts a byte stream into lines and keeps the last of them, whatever the bytes are. */
export class LogTail {
  #lines: string[] = [];
  #bytes = 0;
  readonly #line = new Uint8Array(MAX_LINE_BYTES);
  #lineLength = 0;
  #cut = false;
  readonly #decoder = new TextDecoder();

  /** `onLine` gets each line without its newline. */
  constructor(readonly onLine: (line: string) => void = () => {}) {}

  /** Takes the next bytes; they are not kept. */
  push(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length;) {
      const newline = bytes.indexOf(NEWLINE, start);
      const end = newline < 0 ? bytes.length : newline;
      this.#append(bytes.subarray(start, end));
      if (newline < 0) return;
      this.#endLine();
      start = end + 1;
    }
  }

  /** The stream has ended: a last line without a newline counts too. */
  end(): void {
    if (this.#lineLength > 0) this.#endLine();
  }

  /** Adds a line of our own. */
  note(line: string): void {
    this.#lines.push(line);
    this.#bytes += encoder.encode(line).length + 1;
    if (this.#bytes > 2 * MAX_TAIL_BYTES) this.#trim();
    this.onLine(line);
  }

  /** The last lines, at most {@linkcode MAX_TAIL_BYTES}. */
  toString(): string {
    this.#trim();
    return this.#lines.join("\n");
  }

  #append(part: Uint8Array): void {
    const room = MAX_LINE_BYTES - this.#lineLength;
    if (part.length > room) this.#cut = true;
    const kept = part.subarray(0, room);
    this.#line.set(kept, this.#lineLength);
    this.#lineLength += kept.length;
  }

  #endLine(): void {
    const text = this.#decoder.decode(this.#line.subarray(0, this.#lineLength));
    this.note(this.#cut ? `${text.replace(/\uFFFD$/, "")}…` : text.replace(/\r$/, ""));
    this.#lineLength = 0;
    this.#cut = false;
  }

  // Lines are dropped many at a time: one by one, an array of short lines would be moved for each.
  #trim(): void {
    let first = 0;
    while (this.#bytes > MAX_TAIL_BYTES) this.#bytes -= encoder.encode(this.#lines[first++]).length + 1;
    if (first > 0) this.#lines = this.#lines.slice(first);
  }
}
