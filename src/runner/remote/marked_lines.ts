const NEWLINE = 0x0a;

/** A marked line may be so long; what looks like a longer one is none. Bytes. */
const MAX_LINE_BYTES = 64 * 1024;

/** What our own programs on a node begin their messages to us with: nobody else can know it. */
export function newMarker(): string {
  return `\x01${crypto.randomUUID().replaceAll("-", "")}`;
}

/** Where `marker` begins in `bytes`, or -1. */
export function findMarker(bytes: Uint8Array, marker: Uint8Array): number {
  const first = marker[0]!;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (startsWith(bytes.subarray(at), marker)) return at;
  }
  return -1;
}

/** Takes marked lines out of a stream: a marker in the middle of a line starts one too. */
export class MarkedLines {
  readonly #marker: Uint8Array;
  /** The start of a marked line, or of what may become one. */
  #held: Uint8Array = new Uint8Array(0);

  /** `onLine` gets the text between the marker and the end of its line; `onBytes` all else, only valid during the call. */
  constructor(
    marker: string,
    readonly onBytes: (bytes: Uint8Array) => void,
    readonly onLine: (text: string) => void,
  ) {
    this.#marker = new TextEncoder().encode(marker);
  }

  push(chunk: Uint8Array): void {
    let bytes = this.#held.length > 0 ? joined(this.#held, chunk) : chunk;
    for (;;) {
      const start = findMarker(bytes, this.#marker);
      if (start < 0) return this.#keep(bytes, bytes.length - this.#startedMarker(bytes));
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) return this.#keep(bytes, bytes.length - start > MAX_LINE_BYTES ? bytes.length : start);
      if (start > 0) this.onBytes(bytes.subarray(0, start));
      this.onLine(new TextDecoder().decode(bytes.subarray(start + this.#marker.length, end)).trim());
      bytes = bytes.subarray(end + 1);
    }
  }

  /** The stream has ended. */
  end(): void {
    this.#keep(this.#held, this.#held.length);
  }

  #keep(bytes: Uint8Array, from: number): void {
    if (from > 0) this.onBytes(bytes.subarray(0, from));
    this.#held = bytes.slice(from);
  }

  /** How many of the last bytes may be the start of a marker. */
  #startedMarker(bytes: Uint8Array): number {
    const at = bytes.lastIndexOf(this.#marker[0]!);
    return at >= 0 && startsWith(this.#marker, bytes.subarray(at)) ? bytes.length - at : 0;
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte);
}

/** Both, one after the other. */
export function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
