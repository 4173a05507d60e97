import assert from "node:assert/strict";
import { walkZstd } from "../../../src/archive/zstd_frames.ts";
import { damageOf, golden, run, seededRandom, walked } from "./helpers.ts";
import { joinBytes } from "./vma_bytes.ts";

const SKIPPABLE = new Uint8Array([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

async function zstd(data: Uint8Array<ArrayBuffer>, ...args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  return await run(["zstd", "-qc", ...args], data);
}

/** Stored, run-length and compressed blocks in one. */
async function sample(): Promise<Uint8Array<ArrayBuffer>> {
  return joinBytes(
    await golden("one-disk"),
    new Uint8Array(300_000),
    new TextEncoder().encode("text ".repeat(500)),
  );
}

Deno.test("walkZstd() walks what zstd writes, with any level, threads and options", async () => {
  const data = await sample();
  const variants = [
    ["-1"],
    ["--fast=5"],
    ["-3"],
    ["-19"],
    ["--threads=2"],
    ["--threads=2", "-B64K"],
    ["--rsyncable"],
    ["--no-check"],
    [
      "--long=27",
    ],
  ];
  for (const args of variants) {
    const packed = await zstd(data, ...args);
    for (const size of [1, 3, 4096, packed.length]) {
      assert.equal(walked(walkZstd, packed, size), 1, args.join(" "));
    }
  }
});

Deno.test("walkZstd() walks frames with and without a content size", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const bytes of [0, 1, 255, 256, 300, 65791, 65792, 200_000]) {
      const data = (await sample()).slice(0, bytes);
      await Deno.writeFile(path, data);
      assert.equal(walked(walkZstd, await run(["zstd", "-qc", path])), 1, `file of ${bytes}`);
      assert.equal(walked(walkZstd, await zstd(data)), 1, `pipe of ${bytes}`);
      assert.equal(walked(walkZstd, await zstd(data, `--stream-size=${bytes}`)), 1, `announced ${bytes}`);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("walkZstd() walks several frames and skippable ones between them", async () => {
  const one = await zstd(new Uint8Array(1000));
  assert.equal(walked(walkZstd, joinBytes(SKIPPABLE, one, SKIPPABLE, one, one, SKIPPABLE), 3), 3);
  assert.match(damageOf(walkZstd, SKIPPABLE)?.message ?? "", /where a zstd frame should begin$/);
});

Deno.test("walkZstd() notices a cut at every byte", async () => {
  for (const args of [["-3"], ["--no-check"], ["--threads=2", "-B64K"]]) {
    const packed = await zstd((await sample()).slice(145_000), ...args);
    for (let length = 0; length < packed.length; length++) {
      const damage = damageOf(walkZstd, packed.subarray(0, length));
      assert.match(damage?.message ?? "", new RegExp(`^Archive is cut: it ends at byte ${length}, `));
    }
  }
});

Deno.test("walkZstd() notices what is no frame behind the last one", async () => {
  const packed = await zstd(new Uint8Array(1000));
  for (const rest of [[0], [0, 0, 0, 0], [1, 2, 3, 4, 5], [0x28, 0xb5, 0x2f], [0x27, 0xb5, 0x2f, 0xfd]]) {
    assert.ok(damageOf(walkZstd, joinBytes(packed, new Uint8Array(rest))), `${rest}`);
  }
});

Deno.test("walkZstd() refuses reserved bits and types, dictionaries and blocks that are too large", async () => {
  const packed = await zstd(await sample());
  const spoil = (offset: number, value: number) => {
    const copy = packed.slice();
    copy[offset] = value;
    return damageOf(walkZstd, copy)?.message ?? "";
  };
  const descriptor = packed[4] ?? 0;
  assert.match(spoil(0, 0x29), /at byte 0: there is no zstd frame$/);
  assert.match(spoil(4, descriptor | 0x08), /at byte 4: a zstd frame header has a reserved bit set$/);
  assert.match(spoil(4, descriptor | 0x01), /a zstd frame needs a dictionary$/);
  // From a pipe: magic, descriptor, window, then the first block.
  assert.equal(descriptor & 0xe3, 0);
  assert.match(spoil(6, (packed[6] ?? 0) | 0x06), /at byte 6: a zstd block has the reserved type$/);
  assert.match(spoil(8, 0xff), /at byte 6: a zstd block claims \d+ bytes, at most 131072 may be$/);
  const tiny = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x0d, 0x00, 0x00, 0x00]);
  assert.match(damageOf(walkZstd, tiny)?.message ?? "", /at byte 6: a compressed zstd block claims 1 bytes$/);
});

Deno.test("walkZstd() never fails but by ArchiveDamage, whatever bytes are changed", async () => {
  const packed = await zstd(await sample());
  const random = seededRandom(4);
  for (let round = 0; round < 1000; round++) {
    const spoiled = packed.slice();
    for (let change = random(5); change >= 0; change--) {
      spoiled[random(random(2) ? 300 : packed.length)] = random(256);
    }
    damageOf(walkZstd, spoiled, 1 + random(70000));
  }
});
