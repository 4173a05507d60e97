import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { walkVma } from "../../../src/archive/vma.ts";
import { damageOf, golden, seededRandom, walked } from "./helpers.ts";
import { joinBytes } from "./vma_bytes.ts";

/** From tests/fixtures/vma/README.md. */
const GOLDEN = [
  {
    name: "one-disk",
    bytes: 161280,
    sha256: "b7fa58aaa3990855dc0fa14eb74cff7308405f6bf8ccb7159de411d8f52793f5",
    devices: [["drive-scsi0", 4194304]],
  },
  {
    name: "two-disks",
    bytes: 371200,
    sha256: "eadf66e9a78a62f1c9207107638ab77005cd0f82823f2924c73843a1d50e3e04",
    devices: [["drive-scsi0", 4194304], ["drive-scsi1", 9437184]],
  },
  {
    name: "firewall",
    bytes: 33792,
    sha256: "1da06304b494a1f4b3f923df039feb888b2bc32a980ea21aa689f27199159938",
    devices: [["drive-scsi0", 1060864]],
  },
  {
    name: "diskless",
    bytes: 13312,
    sha256: "b28b9b29b08627b5f72d890ad387d2d9d29c814f513506803972bb025443bb25",
    devices: [],
  },
  {
    name: "several-extents",
    bytes: 11026432,
    sha256: "a6182f8a3df6447de96f982162eaa484c1d66a0ed27e8e977df7d747027cab6f",
    devices: [["drive-scsi0", 25165824]],
  },
];

for (const { name, bytes, sha256, devices } of GOLDEN) {
  Deno.test(`walkVma() accepts ${name}, written by the real vma, in chunks of any size`, async () => {
    const archive = await golden(name);
    assert.equal(archive.length, bytes);
    assert.equal(createHash("sha256").update(archive).digest("hex"), sha256);
    const random = seededRandom(bytes);
    const sizes = [2, 511, 4096, 32768, bytes, () => 1 + random(9000)];
    if (bytes < 1e6) sizes.unshift(1);
    for (const size of sizes) {
      const contents = walked(walkVma, archive, size);
      assert.deepEqual(contents.devices.map((device) => [device.name, device.size]), devices);
      const text = new TextDecoder().decode(contents.configs[0]?.data);
      assert.equal(contents.configs[0]?.name, "qemu-server.conf");
      assert.match(text, /^name: web$/m);
    }
  });
}

Deno.test("walkVma() reads the firewall rules", async () => {
  const { configs } = walked(walkVma, await golden("firewall"));
  assert.deepEqual(configs.map(({ name }) => name), ["qemu-server.conf", "qemu-server.fw"]);
  assert.match(new TextDecoder().decode(configs[1]?.data), /\[OPTIONS\]/i);
});

/** Offsets of the extents, found by their lengths. */
function extentStarts(archive: Uint8Array): number[] {
  const view = new DataView(archive.buffer);
  const starts: number[] = [];
  for (let start = view.getUint32(56); start < archive.length;) {
    starts.push(start);
    start += 512 + 4096 * view.getUint16(start + 6);
  }
  return starts;
}

Deno.test("walkVma() notices a cut at each boundary of one-disk and several-extents, and next to it", async () => {
  for (const name of ["one-disk", "several-extents"]) {
    const archive = await golden(name);
    const starts = extentStarts(archive);
    const boundaries = [12288, ...starts, ...starts.map((start) => start + 512), archive.length];
    for (const boundary of boundaries) {
      for (const length of [boundary - 1, boundary, boundary + 1]) {
        if (length >= archive.length) continue;
        const damage = damageOf(walkVma, archive.slice(0, length));
        assert.match(
          damage?.message ?? "",
          new RegExp(`^Archive is cut: it ends at byte ${length}, `),
          `${name} ${length}`,
        );
      }
    }
  }
});

Deno.test("walkVma() notices a cut between two extents, which vma verify does not", async () => {
  const archive = await golden("several-extents");
  const start = extentStarts(archive)[2] ?? 0;
  assert.match(
    damageOf(walkVma, archive.slice(0, start))?.message ?? "",
    /clusters of device "drive-scsi0" are missing, the first is \d+$/,
  );
});

Deno.test("walkVma() notices a cut at every byte behind the header of firewall", async () => {
  const archive = await golden("firewall");
  for (let length = 12800; length < archive.length; length++) {
    assert.ok(damageOf(walkVma, archive.subarray(0, length)), `cut at ${length}`);
  }
});

Deno.test("walkVma() takes a diskless archive without its empty extent, as vma extract does", async () => {
  const archive = await golden("diskless");
  assert.equal(damageOf(walkVma, archive.slice(0, 12800)), undefined);
  for (let length = 0; length < archive.length; length++) {
    if (length !== 12800) assert.ok(damageOf(walkVma, archive.subarray(0, length)), `cut at ${length}`);
  }
});

Deno.test("walkVma() notices one changed bit anywhere in the header and in the extent headers", async () => {
  const archive = await golden("firewall");
  const random = seededRandom(1);
  const offsets = Array.from({ length: 12800 + 512 }, (_, offset) => offset);
  for (const offset of offsets) {
    const bit = 1 << random(8);
    archive[offset] = (archive[offset] ?? 0) ^ bit;
    assert.ok(damageOf(walkVma, archive), `byte ${offset}`);
    archive[offset] = (archive[offset] ?? 0) ^ bit;
  }
  assert.equal(damageOf(walkVma, archive), undefined);
});

Deno.test("walkVma() notices anything behind the last extent", async () => {
  const archive = await golden("firewall");
  for (const bytes of [1, 511, 512, 513, 4096]) {
    assert.ok(damageOf(walkVma, joinBytes(archive, new Uint8Array(bytes))), `${bytes} zeros`);
  }
  assert.match(
    damageOf(walkVma, joinBytes(archive, archive))?.message ?? "",
    /^Archive is damaged at byte 33792: what should be an extent header does not match its checksum$/,
  );
});

Deno.test("walkVma() never fails but by ArchiveDamage, whatever bytes are changed", async () => {
  const archive = await golden("one-disk");
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const spoiled = archive.slice(0, random(3) === 0 ? random(archive.length) : archive.length);
    for (let change = random(5); change >= 0; change--) {
      spoiled[random(Math.min(spoiled.length, 20000))] = random(256);
    }
    damageOf(walkVma, spoiled, 1 + random(70000));
  }
});
