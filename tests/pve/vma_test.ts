import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { CLUSTER, type DiskSource } from "./disk_data.ts";
import { type FillBuffer, readVmaHeader, VmaError, VmaExtractor } from "./vma_read.ts";
import { type ClusterOrder, clusterOrder, type VmaSpec, writeVma } from "./vma_write.ts";

const disk = (size: number, seed = 1): DiskSource => ({ size, seed, synthetic: true });

function spec(sizes: readonly number[], config = "name: x\n"): VmaSpec {
  return {
    configs: [{ name: "qemu-server.conf", content: new TextEncoder().encode(config) }],
    devices: sizes.map((size, index) => ({ name: `drive-scsi${index}`, disk: disk(size, index + 1) })),
    uuid: new Uint8Array(16).fill(7),
    ctime: 1_700_000_000,
  };
}

function archive(sizes: readonly number[], order: ClusterOrder = "backup"): Uint8Array {
  const parts: Uint8Array[] = [];
  writeVma(spec(sizes), order, (bytes) => void parts.push(bytes.slice()), () => {});
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function filler(bytes: Uint8Array): FillBuffer {
  let at = 0;
  return (buffer) => {
    const part = bytes.subarray(at, at + buffer.length);
    buffer.set(part);
    at += part.length;
    return part.length;
  };
}

/** Extracts everything; answers the disks' bytes. */
function extract(bytes: Uint8Array): Map<number, Uint8Array> {
  const fill = filler(bytes);
  const header = readVmaHeader(fill);
  const disks = new Map(header.devices.map((device) => [device.id, new Uint8Array(device.size)]));
  new VmaExtractor(
    header,
    fill,
    (id, cluster, offset, part) => disks.get(id)!.set(part, cluster * CLUSTER + offset),
  )
    .run(() => {});
  return disks;
}

/** Applies `change` to the block at `from` and sets its md5 (at `from + field`) right again. */
function resealed(
  bytes: Uint8Array,
  from: number,
  length: number,
  field: number,
  change: (view: DataView) => void,
): Uint8Array {
  const copy = bytes.slice();
  const block = copy.subarray(from, from + length);
  change(new DataView(copy.buffer, from, length));
  block.fill(0, field, field + 16);
  block.set(createHash("md5").update(block).digest(), field);
  return copy;
}

const header = (bytes: Uint8Array, change: (view: DataView) => void) => resealed(bytes, 0, 12800, 32, change);
const extent = (bytes: Uint8Array, change: (view: DataView) => void) =>
  resealed(bytes, 12800, 512, 24, change);

for (const order of ["backup", "interleaved", "sequential"] as const) {
  Deno.test(`order "${order}" holds each cluster of each device once`, () => {
    const counts = [100, 1, 333];
    const seen = [...clusterOrder(counts, order, 5)].map(([device, cluster]) => `${device}:${cluster}`);
    assert.equal(seen.length, 434);
    assert.equal(new Set(seen).size, 434);
  });
}

Deno.test('order "backup" mixes devices and goes backwards now and then', () => {
  const order = [...clusterOrder([500, 500], "backup", 5)];
  const first = order.filter(([device]) => device === 0).map(([, cluster]) => cluster);
  assert.ok(first.some((cluster, index) => index > 0 && cluster < first[index - 1]!));
  assert.ok(new Set(order.slice(0, 58).map(([device]) => device)).size === 2);
});

Deno.test("writer and reader agree on odd sizes, many clusters and several devices", () => {
  const sizes = [1024, 70_144, 130 * CLUSTER];
  const disks = extract(archive(sizes));
  assert.deepEqual([...disks.values()].map((bytes) => bytes.length), sizes);
  assert.notEqual(disks.get(3)![129 * CLUSTER], 0);
});

Deno.test("a diskless archive has 13312 bytes, a small header 12800", () => {
  const bytes = archive([]);
  assert.equal(bytes.length, 13_312);
  assert.equal(new DataView(bytes.buffer).getUint32(56), 12_800);
  assert.equal(extract(bytes).size, 0);
});

Deno.test("no extent has more than 58 entries", () => {
  const bytes = archive([200 * CLUSTER]);
  const view = new DataView(bytes.buffer);
  for (let at = 12_800; at < bytes.length; at += 512 + view.getUint16(at + 6) * 4096) {
    assert.equal(view.getUint32(at), 0x564d4145);
    assert.equal(view.getBigUint64(at + 40 + 58 * 8), 0n);
  }
});

Deno.test("a config beyond 65535 bytes is refused as by the real writer", () => {
  const big = spec([], "#".repeat(65_536));
  assert.throws(
    () => writeVma(big, "backup", () => {}, () => {}),
    /Unable to append config data qemu-server\.conf \(len = 65536\)/,
  );
});

const GOOD = archive([70 * CLUSTER], "sequential");
const FIRST_EXTENT = 512 + 58 * CLUSTER;

const DAMAGED: [string, () => Uint8Array, string, number?][] = [
  ["empty", () => new Uint8Array(0), "can't read vma header - got EOF"],
  ["cut in the header", () => GOOD.slice(0, 12_287), "can't read vma header - got EOF"],
  ["cut in the blob buffer", () => GOOD.slice(0, 12_400), "can't read vma header data - got EOF"],
  [
    "wrong magic",
    () => Uint8Array.from(GOOD, (byte, at) => at === 0 ? 0 : byte),
    "not a vma file - wrong magic number",
  ],
  [
    "header too small",
    () => header(GOOD, (view) => view.setUint32(56, 12_288)),
    "wrong vma header size 12288",
  ],
  [
    "flipped header bit",
    () => Uint8Array.from(GOOD, (byte, at) => at === 100 ? 1 : byte),
    "wrong vma header chechsum",
  ],
  ["version 2", () => header(GOOD, (view) => view.setUint32(4, 2)), "wrong vma version 2"],
  [
    "blob offset",
    () => header(GOOD, (view) => view.setUint32(48, 12_287)),
    "wrong vma blob buffer offset 12287",
  ],
  [
    "blob size",
    () => header(GOOD, (view) => view.setUint32(52, 600)),
    "wrong vma blob buffer size 12288/600",
  ],
  [
    "config pointer",
    () => header(GOOD, (view) => view.setUint32(3068, 500)),
    "vma contains invalid data pointers",
  ],
  [
    "config pointer between two blobs",
    () => header(GOOD, (view) => view.setUint32(3068, view.getUint32(2044) + 1)),
    "vma contains invalid data pointers",
  ],
  [
    "device without size",
    () => header(GOOD, (view) => view.setBigUint64(4096 + 40, 0n)),
    "restore failed - got wrong dev id 1",
  ],
  [
    "flipped extent bit",
    () => Uint8Array.from(GOOD, (byte, at) => at === 12_800 + 44 ? byte ^ 1 : byte),
    "restore failed - wrong vma extent header chechsum",
  ],
  [
    "short garbage behind the end",
    () => new Uint8Array([...GOOD, ...new Uint8Array(100)]),
    "restore failed - read short extent (100 bytes)",
  ],
  [
    "garbage behind the end",
    () => new Uint8Array([...GOOD, ...new Uint8Array(600)]),
    "restore failed - wrong vma extent header chechsum",
  ],
  [
    "cut in data",
    () => GOOD.slice(0, 12_800 + 5000),
    `restore failed - short vma extent (5000 < ${FIRST_EXTENT})`,
  ],
  ["other uuid", () => extent(GOOD, (view) => view.setUint8(8, 9)), "restore failed - wrong vma extent uuid"],
  [
    "extent magic",
    () => extent(GOOD, (view) => view.setUint8(3, 0)),
    "restore failed - wrong vma extent header magic",
  ],
  [
    "cluster twice",
    () => extent(GOOD, (view) => view.setUint32(40 + 12, 0)),
    "restore failed - found duplicated cluster 0 for stream drive-scsi0",
  ],
  [
    "unknown device",
    () => extent(GOOD, (view) => view.setUint8(43, 9)),
    "restore failed - got wrong dev id 9",
  ],
  [
    "cluster just beyond",
    () => extent(GOOD, (view) => view.setUint32(44, 70)),
    "restore failed - got wrong block address - write beyond end",
  ],
  ["cluster far beyond", () => extent(GOOD, (view) => view.setUint32(44, 128)), "assertion failed", 6],
  [
    "too few blocks",
    () => extent(GOOD, (view) => view.setUint16(6, 900)),
    "restore failed - short vma extent - too many blocks",
  ],
  [
    "too many blocks",
    () => extent(GOOD, (view) => view.setUint16(40, 0x7fff)),
    "restore failed - vma extent error - missing blocks",
  ],
  [
    "cut between two extents",
    () => GOOD.slice(0, 12_800 + FIRST_EXTENT),
    "detected missing cluster 58 for stream drive-scsi0",
  ],
  ["header only", () => GOOD.slice(0, 12_800), "detected missing cluster 0 for stream drive-scsi0"],
  [
    "device too large",
    () => header(GOOD, (view) => view.setBigUint64(4096 + 40, BigInt(71 * CLUSTER))),
    "detected missing cluster 70 for stream drive-scsi0",
  ],
];

for (const [name, damage, message, signal = 5] of DAMAGED) {
  Deno.test(`the reader refuses an archive with: ${name}`, () => {
    assert.throws(() => extract(damage()), (error) => {
      assert.ok(error instanceof VmaError);
      assert.deepEqual([error.message, error.signal], [message, signal]);
      return true;
    });
  });
}

Deno.test("a flipped data byte is not noticed, as by the real program", () => {
  const flipped = GOOD.slice();
  flipped[20_000]! ^= 1;
  assert.equal(extract(flipped).size, 1);
});
