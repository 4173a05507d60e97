import assert from "node:assert/strict";
import { cutElf } from "../../../scripts/compile_base.ts";

/** An ELF64 header that says: `count` section headers of 64 bytes from byte `at`. */
function elf(at: number, count: number, payload: number): Uint8Array<ArrayBuffer> {
  const program = new Uint8Array(at + count * 64 + payload);
  program.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  const view = new DataView(program.buffer);
  view.setBigUint64(0x28, BigInt(at), true);
  view.setUint16(0x3a, 64, true);
  view.setUint16(0x3c, count, true);
  return program;
}

Deno.test("cutElf() drops what follows the section table", () => {
  assert.equal(cutElf(elf(1000, 3, 5000)).length, 1192);
  assert.equal(cutElf(elf(1000, 3, 0)).length, 1192);
});

Deno.test("cutElf() refuses what is no ELF64 program or is cut short", () => {
  assert.throws(() => cutElf(new TextEncoder().encode("#!/bin/sh\n".repeat(20))), /not an ELF64/);
  assert.throws(() => cutElf(new Uint8Array(10)), /not an ELF64/);
  assert.throws(() => cutElf(elf(1000, 3, 0).slice(0, 1100)), /ends at 1192, has 1100 bytes/);
});
