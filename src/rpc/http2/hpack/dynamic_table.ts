import type { HeaderField } from "../stream.ts";

/** Bytes that each field counts besides its characters (RFC 7541 section 4.1). */
const FIELD_OVERHEAD = 32;

/** The size of a field as tables and limits count it. */
export function fieldSize([name, value]: HeaderField): number {
  return name.length + value.length + FIELD_OVERHEAD;
}

/** The fields seen lately, the newest first, no more than fit (RFC 7541 section 2.3.2). */
export class DynamicTable {
  /** The newest last, so that adding is cheap. */
  readonly #fields: HeaderField[] = [];
  #size = 0;
  #maxSize: number;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get length(): number {
    return this.#fields.length;
  }

  /** Sum of the sizes of the fields. */
  get size(): number {
    return this.#size;
  }

  /** The field at `index`, 0 being the newest. */
  get(index: number): HeaderField | undefined {
    return this.#fields[this.#fields.length - 1 - index];
  }

  add(field: HeaderField): void {
    const size = fieldSize(field);
    this.#evictTo(this.#maxSize - size);
    // A field larger than the table empties it and is no error (RFC 7541 section 4.4).
    if (size > this.#maxSize) return;
    this.#fields.push(field);
    this.#size += size;
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    while (this.#size > size) {
      const oldest = this.#fields.shift();
      if (!oldest) return;
      this.#size -= fieldSize(oldest);
    }
  }
}
