import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { HpackDecoder } from "../../../../../src/rpc/http2/hpack/decoder.ts";
import { hex } from "../bytes.ts";

/** Public vectors of several encoders, used when they lie beside the project. */
const FOLDER = new URL("../../../../../../shared/data/hpack/", import.meta.url);

interface Story {
  cases: { seqno: number; wire: string; headers: Record<string, string>[]; header_table_size?: number }[];
}

for (const encoder of existsSync(FOLDER) ? Deno.readDirSync(FOLDER) : []) {
  if (!encoder.isDirectory) continue;
  Deno.test(`HpackDecoder decodes the public stories of ${encoder.name}`, async () => {
    let blocks = 0;
    for await (const file of Deno.readDir(new URL(`${encoder.name}/`, FOLDER))) {
      const text = await Deno.readTextFile(new URL(`${encoder.name}/${file.name}`, FOLDER));
      const { cases } = JSON.parse(text) as Story;
      const maxTableSize = Math.max(4096, ...cases.map((each) => each.header_table_size ?? 0));
      const decoder = new HpackDecoder({ maxTableSize });
      for (const { wire, headers, seqno } of cases) {
        const fields = headers.flatMap((header) => Object.entries(header));
        assert.deepEqual(decoder.decode(hex(wire)).fields, fields, `${file.name}, block ${seqno}`);
        blocks++;
      }
    }
    assert.ok(blocks > 0);
  });
}
