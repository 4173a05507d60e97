import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { walkLzop } from "../../../src/archive/lzop_blocks.ts";
import { damageOf, run, seededRandom, walked } from "./helpers.ts";
import { joinBytes } from "./vma_bytes.ts";

async function lzop(data: Uint8Array<ArrayBuffer>, ...args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  return await run(["lzop", "-c", ...args], data);
}

/** Two blocks that lzop stores, one in between and compressed ones. */
function sample(): Uint8Array<ArrayBuffer> {
  const random = seededRandom(9);
  return joinBytes(Uint8Array.from({ length: 600_000 }, () => random(256)), new Uint8Array(700_000));
}

Deno.test("walkLzop() walks what lzop writes, with any level and checksums", async () => {
  const data = sample();
  for (
    const args of [[], ["-1"], ["-3"], ["-9"], ["--crc32"], ["-F"], ["-CC"], ["--crc32", "-CC"], [
      "--filter=2",
    ]]
  ) {
    const packed = await lzop(data, ...args);
    for (const size of [1, 3, 4096, packed.length]) walked(walkLzop, packed, size);
  }
  walked(walkLzop, await lzop(new Uint8Array(0)));
});

Deno.test("walkLzop() walks an lzop file that names its source", async () => {
  const path = await Deno.makeTempFile({ prefix: "x".repeat(200) });
  try {
    await Deno.writeTextFile(path, "text ".repeat(1000));
    walked(walkLzop, await run(["lzop", "-c", path]), 7);
    walked(walkLzop, await run(["lzop", "-c", "-P", path]), 7);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("walkLzop() notices a cut at every byte", async () => {
  const packed = await lzop(sample().slice(575_000));
  for (let length = 0; length < packed.length; length++) {
    const damage = damageOf(walkLzop, packed.subarray(0, length));
    assert.match(damage?.message ?? "", new RegExp(`^Archive is cut: it ends at byte ${length}, `));
  }
});

Deno.test("walkLzop() notices one changed bit anywhere in the header", async () => {
  for (const args of [[], ["--crc32"]]) {
    const packed = await lzop(sample(), ...args);
    for (let offset = 0; offset < 38; offset++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        packed[offset] = (packed[offset] ?? 0) ^ bit;
        assert.ok(damageOf(walkLzop, packed), `byte ${offset}`);
        packed[offset] = (packed[offset] ?? 0) ^ bit;
      }
    }
    walked(walkLzop, packed);
  }
});

/** An lzop header made by hand, CRC-32 as its checksum, before an empty file's end mark. */
function headerWith(flags: number, extra: number[] = [], needed = 0x0940): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(25);
  const view = new DataView(body.buffer);
  view.setUint16(0, 0x1040);
  view.setUint16(4, needed);
  view.setUint32(8, flags | 0x1000);
  const checksum = new Uint8Array(4);
  new DataView(checksum.buffer).setUint32(0, crc32(body));
  const magic = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
  return joinBytes(new Uint8Array(magic), body, checksum, new Uint8Array(extra), new Uint8Array(4));
}

Deno.test("walkLzop() passes an extra field, refuses split files and versions it does not know", () => {
  walked(walkLzop, headerWith(0));
  walked(walkLzop, headerWith(0x40, [0, 0, 0, 3, 1, 2, 3, 9, 9, 9, 9]), 5);
  assert.match(damageOf(walkLzop, headerWith(0x400))?.message ?? "", /it is a part of a split lzop file$/);
  assert.match(
    damageOf(walkLzop, headerWith(0, [], 0x2000))?.message ?? "",
    /lzop version 0x2000 is not known$/,
  );
});

Deno.test("walkLzop() notices changed lengths of a block", async () => {
  const packed = await lzop(sample());
  const spoil = (offset: number, value: number) => {
    const copy = packed.slice();
    new DataView(copy.buffer).setUint32(offset, value);
    return damageOf(walkLzop, copy)?.message ?? "";
  };
  // A header without a name has 38 bytes.
  const stored = new DataView(packed.buffer).getUint32(42);
  assert.match(spoil(38, 64 * 2 ** 20 + 1), /at byte 38: an lzop block claims \d+ bytes for 67108865$/);
  assert.match(spoil(38, 1), /at byte 38: an lzop block claims \d+ bytes for 1$/);
  assert.match(spoil(38, 0xffffffff), /at byte 38: /);
  assert.match(spoil(38, 0), /at byte 42: something follows the end mark/);
  assert.match(spoil(42, 0), /at byte 38: an lzop block claims 0 bytes/);
  assert.ok(spoil(42, stored - 1));
});

Deno.test("walkLzop() notices anything behind the end mark, a second lzop file included", async () => {
  const packed = await lzop(new Uint8Array(1000));
  for (const rest of [new Uint8Array(1), new Uint8Array(100), new TextEncoder().encode("garbage"), packed]) {
    assert.equal(
      damageOf(walkLzop, joinBytes(packed, rest))?.message,
      `Archive is damaged at byte ${packed.length}: something follows the end mark of the lzop file`,
    );
  }
});

Deno.test("walkLzop() never fails but by ArchiveDamage, whatever bytes are changed", async () => {
  const packed = await lzop(sample());
  const random = seededRandom(4);
  for (let round = 0; round < 1000; round++) {
    const spoiled = packed.slice();
    for (let change = random(5); change >= 0; change--) {
      spoiled[random(random(2) ? 60 : packed.length)] = random(256);
    }
    damageOf(walkLzop, spoiled, 1 + random(70000));
  }
});
