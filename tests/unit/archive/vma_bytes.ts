// Builds small VMA archives by hand, so that each rule of the reader can be broken alone.
import { createHash } from "node:crypto";

const FIXED_BYTES = 12288;

export interface VmaSpec {
  configs?: { name: string; data: string | Uint8Array }[];
  /** Registered in order as device 1, 2, … */
  devices?: { name: string; size: number | bigint }[];
  extents?: ExtentSpec[];
  /** Changes the header before its checksum is made. */
  spoilHeader?: (header: Uint8Array, view: DataView) => void;
}

export interface ExtentSpec {
  entries: { device: number; cluster: number; mask: number }[];
  /** Default: the number of bits set in the masks. */
  blockCount?: number;
  /** Changes the extent's header before its checksum is made. */
  spoil?: (header: Uint8Array, view: DataView) => void;
}

export function buildVma(
  { configs = [{ name: "qemu-server.conf", data: "memory: 512\n" }], ...spec }: VmaSpec,
) {
  const blobs = new BlobBuffer();
  const pairs = configs.map(({ name, data }) => [blobs.add(`${name}\0`), blobs.add(data)] as const);
  const names = (spec.devices ?? []).map(({ name }) => blobs.add(`${name}\0`));
  const header = new Uint8Array(FIXED_BYTES + Math.ceil(blobs.size / 512) * 512);
  const view = new DataView(header.buffer);
  header.set([0x56, 0x4d, 0x41, 0x00, 0, 0, 0, 1]);
  header.fill(0xab, 8, 24);
  view.setUint32(48, FIXED_BYTES);
  view.setUint32(52, blobs.size);
  view.setUint32(56, header.length);
  pairs.forEach(([name, data], index) => {
    view.setUint32(2044 + 4 * index, name);
    view.setUint32(3068 + 4 * index, data);
  });
  (spec.devices ?? []).forEach(({ size }, index) => {
    view.setUint32(4096 + 32 * (index + 1), names[index] ?? 0);
    view.setBigUint64(4096 + 32 * (index + 1) + 8, BigInt(size));
  });
  blobs.copyTo(header.subarray(FIXED_BYTES));
  spec.spoilHeader?.(header, view);
  sign(header, 32);
  return joinBytes(header, ...(spec.extents ?? []).map(buildExtent));
}

/** Entries for the clusters `from` up to, not including, `to`, whole or zero. */
export function clusters(device: number, from: number, to: number, mask = 0): ExtentSpec["entries"] {
  return Array.from({ length: to - from }, (_, index) => ({ device, cluster: from + index, mask }));
}

export function buildExtent({ entries, blockCount, spoil }: ExtentSpec): Uint8Array {
  const bits = entries.reduce((sum, { mask }) => sum + mask.toString(2).replaceAll("0", "").length, 0);
  const header = new Uint8Array(512);
  const view = new DataView(header.buffer);
  header.set([0x56, 0x4d, 0x41, 0x45]);
  view.setUint16(6, blockCount ?? bits);
  header.fill(0xab, 8, 24);
  entries.forEach(({ device, cluster, mask }, index) => {
    view.setUint16(40 + 8 * index, mask);
    view.setUint8(43 + 8 * index, device);
    view.setUint32(44 + 8 * index, cluster);
  });
  spoil?.(header, view);
  sign(header, 24);
  return joinBytes(header, new Uint8Array((blockCount ?? bits) * 4096).fill(0x5a));
}

export function joinBytes(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Writes the MD5 of `bytes`, taken with zeros there, at `offset`. */
export function sign(bytes: Uint8Array, offset: number): void {
  bytes.fill(0, offset, offset + 16);
  bytes.set(createHash("md5").update(bytes).digest(), offset);
}

class BlobBuffer {
  readonly #parts: Uint8Array[] = [new Uint8Array(1)];
  size = 1;

  /** Answers the blob's offset. */
  add(data: string | Uint8Array): number {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const offset = this.size;
    this.#parts.push(new Uint8Array([bytes.length & 0xff, bytes.length >> 8]), bytes);
    this.size += 2 + bytes.length;
    return offset;
  }

  copyTo(target: Uint8Array): void {
    target.set(joinBytes(...this.#parts));
  }
}
