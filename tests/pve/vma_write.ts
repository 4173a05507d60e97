/** Writes VMA archives as a running backup does: version 1, at most 58 entries per extent, 4 KiB masks. */
import { createHash } from "node:crypto";
import { BLOCK, CLUSTER, type ClusterReader, type DiskSource, openDisk, randomWords } from "./disk_data.ts";

const FIXED_HEADER = 12288;
const EXTENT_HEADER = 512;
/** The format has 59 entries; the real writer flushes at 58. */
const ENTRIES = 58;
const TRANSFER = 32 * 1024;
const FULL_MASK = 0xffff;

export interface VmaDevice {
  /** `drive-scsi0`. */
  name: string;
  disk: DiskSource;
}

export interface VmaSpec {
  configs: { name: string; content: Uint8Array }[];
  devices: VmaDevice[];
  uuid: Uint8Array;
  /** Seconds since the epoch. */
  ctime: number;
}

export type ClusterOrder = "backup" | "interleaved" | "sequential";

/** What the writer has passed so far, in bytes of disk and of zeros among them. */
export interface VmaProgress {
  read: number;
  zero: number;
  total: number;
}

const encoder = new TextEncoder();

/** Blob buffer: byte 0 unused, each blob behind a little-endian length, grown in steps of 512. */
class Blobs {
  #bytes = new Uint8Array(0);
  used = 1;

  add(content: Uint8Array, label: string): number {
    if (content.length > 65535) {
      throw new Error(`Unable to append config data ${label} (len = ${content.length})`);
    }
    const need = content.length + 2;
    if (this.used + need > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length + Math.ceil(need / 512) * 512);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    const offset = this.used;
    new DataView(this.#bytes.buffer).setUint16(offset, content.length, true);
    this.#bytes.set(content, offset + 2);
    this.used += need;
    return offset;
  }

  get padded(): Uint8Array {
    return this.#bytes;
  }
}

/** Fills in the md5 of `bytes`, whose md5 field starts at `at`. */
function seal(bytes: Uint8Array, at: number): void {
  bytes.fill(0, at, at + 16);
  bytes.set(createHash("md5").update(bytes).digest(), at);
}

/** The header with its blob buffer. */
export function vmaHeader(spec: VmaSpec): Uint8Array {
  const blobs = new Blobs();
  const fixed = new DataView(new ArrayBuffer(FIXED_HEADER));
  spec.configs.forEach((config, index) => {
    fixed.setUint32(2044 + index * 4, blobs.add(encoder.encode(config.name + "\0"), config.name));
    fixed.setUint32(3068 + index * 4, blobs.add(config.content, config.name));
  });
  spec.devices.forEach((device, index) => {
    const at = 4096 + (index + 1) * 32;
    fixed.setUint32(at, blobs.add(encoder.encode(device.name + "\0"), device.name));
    fixed.setBigUint64(at + 8, BigInt(device.disk.size));
  });
  const header = new Uint8Array(FIXED_HEADER + blobs.padded.length);
  header.set(new Uint8Array(fixed.buffer));
  header.set(blobs.padded, FIXED_HEADER);
  const view = new DataView(header.buffer);
  header.set(encoder.encode("VMA\0"));
  view.setUint32(4, 1);
  header.set(spec.uuid, 8);
  view.setBigInt64(24, BigInt(spec.ctime));
  view.setUint32(48, FIXED_HEADER);
  view.setUint32(52, blobs.used);
  view.setUint32(56, header.length);
  seal(header, 32);
  return header;
}

/**
 * The order of clusters over all devices as `[device index, cluster]`. `backup` mixes the devices finely
 * and takes some clusters ahead of time, as copy-before-write does for blocks the guest is about to change.
 */
export function* clusterOrder(
  counts: readonly number[],
  order: ClusterOrder,
  seed: number,
): Generator<[number, number]> {
  const next = randomWords(seed);
  const positions = counts.map(() => 0);
  const ahead = counts.map(() => new Set<number>());
  let live = counts.map((_, device) => device).filter((device) => counts[device]! > 0);
  let turn = 0;
  while (live.length > 0) {
    const device = order === "sequential" ? live[0]! : live[turn++ % live.length]!;
    const run = order === "interleaved" ? 1 : 1 + next() % 4;
    for (let step = 0; step < run && positions[device]! < counts[device]!; step++) {
      const cluster = positions[device]!++;
      if (!ahead[device]!.delete(cluster)) yield [device, cluster];
    }
    if (order === "backup" && next() % 16 === 0) {
      const cluster = positions[device]! + 1 + next() % 256;
      if (cluster < counts[device]! && !ahead[device]!.has(cluster)) {
        ahead[device]!.add(cluster);
        yield [device, cluster];
      }
    }
    if (positions[device]! >= counts[device]!) live = live.filter((other) => other !== device);
  }
}

interface Entry {
  device: number;
  cluster: number;
  mask: number;
}

/** Fills the reusable extent header for `entries`. */
function fillExtentHeader(bytes: Uint8Array, uuid: Uint8Array, entries: readonly Entry[]): void {
  const view = new DataView(bytes.buffer);
  bytes.fill(0);
  view.setUint32(0, 0x564d4145); // "VMAE"
  bytes.set(uuid, 8);
  let blocks = 0;
  entries.forEach((entry, index) => {
    const at = 40 + index * 8;
    view.setUint16(at, entry.mask);
    view.setUint8(at + 3, entry.device + 1);
    view.setUint32(at + 4, entry.cluster);
    blocks += entry.mask === FULL_MASK ? 16 : bitCount(entry.mask);
  });
  view.setUint16(6, blocks);
  seal(bytes, 24);
}

export function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Hands the present blocks of a cluster to `write`, neighbours together, in pieces a pipe takes well. */
function writeBlocks(bytes: Uint8Array, mask: number, write: (bytes: Uint8Array) => void): void {
  for (let block = 0; block < 16;) {
    if ((mask >> block & 1) === 0) {
      block++;
      continue;
    }
    let end = block + 1;
    while (end < 16 && (mask >> end & 1) === 1 && (end - block) * BLOCK < TRANSFER) end++;
    write(bytes.subarray(block * BLOCK, end * BLOCK));
    block = end;
  }
}

/**
 * Writes the whole archive. `write` must take all bytes before it returns and must not keep them;
 * what it throws ends the archive. `passed` is called after each extent.
 */
export function writeVma(
  spec: VmaSpec,
  order: ClusterOrder,
  write: (bytes: Uint8Array) => void,
  passed: (progress: VmaProgress) => void,
): void {
  write(vmaHeader(spec));
  const readers = spec.devices.map((device) => openDisk(device.disk));
  const counts = spec.devices.map((device) => Math.ceil(device.disk.size / CLUSTER));
  const seed = new DataView(spec.uuid.buffer, spec.uuid.byteOffset).getUint32(0);
  const progress = { read: 0, zero: 0, total: counts.reduce((sum, count) => sum + count * CLUSTER, 0) };
  const header = new Uint8Array(EXTENT_HEADER);
  const entries: Entry[] = [];
  const flush = () => {
    fillExtentHeader(header, spec.uuid, entries);
    write(header);
    for (const entry of entries) writeEntry(entry, readers, write, progress);
    entries.length = 0;
    passed(progress);
  };
  try {
    for (const [device, cluster] of clusterOrder(counts, order, seed)) {
      entries.push({ device, cluster, mask: readers[device]!.mask(cluster) });
      if (entries.length === ENTRIES) flush();
    }
    // A diskless archive has one extent without entries.
    if (entries.length > 0 || counts.length === 0) flush();
  } finally {
    for (const reader of readers) reader.close();
  }
}

function writeEntry(
  entry: Entry,
  readers: readonly ClusterReader[],
  write: (bytes: Uint8Array) => void,
  progress: VmaProgress,
): void {
  if (entry.mask !== 0) writeBlocks(readers[entry.device]!.bytes(entry.cluster), entry.mask, write);
  progress.read += CLUSTER;
  progress.zero += (16 - bitCount(entry.mask)) * BLOCK;
}
