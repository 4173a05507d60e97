import assert from "node:assert/strict";
import { hexStart, recognize } from "../../../src/archive/compression.ts";
import { golden, run } from "./helpers.ts";

Deno.test("recognize() tells each compression by what its tool writes", async () => {
  const data = new TextEncoder().encode("some data");
  assert.deepEqual(recognize(await run(["zstd", "-qc"], data)), { compression: "zstd" });
  assert.deepEqual(recognize(await run(["lzop", "-c"], data)), { compression: "lzo" });
  assert.deepEqual(recognize(await run(["gzip", "-c"], data)), { compression: "gzip" });
  assert.deepEqual(recognize(await run(["bzip2", "-c"], data)), { compression: "bzip2" });
});

Deno.test("recognize() tells VMA and both kinds of tar", async () => {
  assert.deepEqual(recognize(await golden("diskless")), { compression: "none", format: "vma" });
  for (const format of ["pax", "gnu", "ustar"]) {
    const archive = await run(["tar", "cf", "-", `--format=${format}`, "-C", "/etc", "./hostname"]);
    assert.deepEqual(recognize(archive.subarray(0, 262)), { compression: "none", format: "tar" });
    assert.equal(recognize(archive.subarray(0, 261)), undefined);
  }
});

Deno.test("recognize() knows nothing else", () => {
  assert.equal(recognize(new Uint8Array(0)), undefined);
  assert.equal(recognize(new Uint8Array(512)), undefined);
  assert.equal(recognize(new Uint8Array([0x28, 0xb5, 0x2f])), undefined);
  assert.equal(recognize(new TextEncoder().encode("VMAE")), undefined);
});

Deno.test("hexStart() shows at most eight bytes", () => {
  assert.equal(hexStart(new Uint8Array([0, 255, 16])), "00 ff 10");
  assert.equal(hexStart(new Uint8Array(100)), "00 00 00 00 00 00 00 00");
});
