// deno-lint-ignore no-import-prefix -- what deno.json imports is compiled into the program, and this is for tests
import hpack from "npm:hpack.js@2.1.6";
import type { HeaderField } from "../../../../../src/rpc/http2/stream.ts";

/** An independent encoder, with Huffman coding and a dynamic table. */
export class HpackJsEncoder {
  readonly #compressor;

  constructor(maxSize = 4096) {
    this.#compressor = hpack.compressor.create({ table: { maxSize } });
  }

  /** `huffman`: use it for all strings; `incremental`: put literals into the table. */
  encode(
    fields: readonly HeaderField[],
    options: { huffman?: boolean; incremental?: boolean } = {},
  ): Uint8Array {
    this.#compressor.write(fields.map(([name, value]) => ({ name, value, ...options })));
    return new Uint8Array(this.#compressor.read() ?? []);
  }

  /** Empties the table; the next block says so. */
  reset(): void {
    this.#compressor.reset();
  }
}

/** An independent decoder. */
export class HpackJsDecoder {
  readonly #decompressor = hpack.decompressor.create({ table: { maxSize: 4096 } });

  decode(block: Uint8Array): HeaderField[] {
    this.#decompressor.write(block);
    this.#decompressor.execute();
    const fields: HeaderField[] = [];
    for (let field = this.#decompressor.read(); field; field = this.#decompressor.read()) {
      fields.push([field.name, field.value]);
    }
    return fields;
  }
}
