import { createHash } from "node:crypto";
import { type Position, take, type Walk } from "./stream_walk.ts";

/** One stream of a VMA archive: a disk, or saved memory when its name is `vmstate`. */
export interface VmaDevice {
  /** 1 to 254. */
  readonly id: number;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** One file that the archive carries besides the disks. */
export interface VmaConfig {
  /** As written in the archive: never to be used as a path. */
  readonly name: string;
  readonly data: Uint8Array;
}

export interface VmaHeader {
  readonly uuid: Uint8Array;
  readonly configs: readonly VmaConfig[];
  readonly devices: readonly VmaDevice[];
}

export const CLUSTER_BYTES = 65536;

const FIXED_BYTES = 12288;
/** The writer stops at 524288; a larger claim is damage, not a reason to allocate. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** A cluster number has 32 bits. */
const MAX_DEVICE_BYTES = 2 ** 32 * CLUSTER_BYTES;
export const MD5_OFFSET = 32;
export const CONFIG_NAMES_OFFSET = 2044;
export const CONFIG_DATA_OFFSET = 3068;
export const CONFIG_COUNT = 256;
export const DEVICES_OFFSET = 4096;
export const DEVICE_ENTRY_BYTES = 32;
export const LAST_DEVICE_ID = 254;

/**
 * Reads a VMA header, in the order in which Proxmox's reader checks it. Throws for each header that
 * `vma extract` refuses.
 */
export function* readVmaHeader(at: Position): Walk<VmaHeader> {
  return parseVmaHeader(at, yield* takeVmaHeader(at));
}

/** Takes the bytes of a VMA header, as a copy with zeros in place of its checksum, which is right. */
export function* takeVmaHeader(at: Position): Walk<Uint8Array> {
  const fixed = (yield take(FIXED_BYTES, "the VMA header")).slice();
  const size = viewOf(fixed).getUint32(56);
  if (size <= FIXED_BYTES || size > MAX_HEADER_BYTES) {
    throw at.damage(56, `the header claims a size of ${size} bytes`);
  }
  const header = new Uint8Array(size);
  header.set(fixed);
  header.set(yield take(size - FIXED_BYTES, "the VMA header"), FIXED_BYTES);
  if (!md5Matches(header, MD5_OFFSET)) {
    throw at.damage(0, "the header does not match its checksum");
  }
  return header;
}

/** What a header says, see {@linkcode takeVmaHeader}. */
export function parseVmaHeader(at: Position, header: Uint8Array): VmaHeader {
  const view = viewOf(header);
  const version = view.getUint32(4);
  if (version !== 1) {
    throw at.damage(4, `VMA version ${version} is not known: damaged, or newer than what restores it`);
  }
  const blobs = readBlobs(at, header);
  return {
    uuid: header.slice(8, 24),
    configs: readConfigs(at, view, blobs),
    devices: readDevices(at, view, blobs),
  };
}

/** Does the MD5 of `block`, with the 16 bytes at `offset` zero, stand at `offset`? Leaves them zeroed. */
export function md5Matches(block: Uint8Array, offset: number): boolean {
  const stored = block.slice(offset, offset + 16);
  block.fill(0, offset, offset + 16);
  const actual = createHash("md5").update(block).digest();
  return stored.every((byte, index) => byte === actual[index]);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export type Blobs = ReadonlyMap<number, Uint8Array>;

/** The blobs by offset. Only offsets reached by walking from the first one count, as in Proxmox's reader. */
export function readBlobs(at: Position, header: Uint8Array): Blobs {
  const view = viewOf(header);
  const start = view.getUint32(48);
  const end = start + view.getUint32(52);
  if (start < FIXED_BYTES) throw at.damage(48, `the names start at byte ${start}, inside the fixed header`);
  if (end > header.length) throw at.damage(52, `the names end at byte ${end}, behind the header`);
  const blobs = new Map<number, Uint8Array>();
  // Byte 0 is unused, so that offset 0 can mean "none".
  for (let offset = start + 1; offset + 2 <= end;) {
    const data = offset + 2;
    // The only little-endian number of the format.
    const next = data + view.getUint16(offset, true);
    if (next <= end) blobs.set(offset - start, header.subarray(data, next));
    offset = next;
  }
  return blobs;
}

/** A name in a blob ends with a NUL that its length counts. */
export function nameIn(blob: Uint8Array | undefined): string | undefined {
  if (blob === undefined || blob.at(-1) !== 0) return undefined;
  return new TextDecoder().decode(blob.subarray(0, blob.indexOf(0)));
}

function readConfigs(at: Position, view: DataView, blobs: Blobs): VmaConfig[] {
  const configs: VmaConfig[] = [];
  for (let index = 0; index < CONFIG_COUNT; index++) {
    const nameOffset = view.getUint32(CONFIG_NAMES_OFFSET + 4 * index);
    const dataOffset = view.getUint32(CONFIG_DATA_OFFSET + 4 * index);
    if (nameOffset === 0 || dataOffset === 0) continue;
    const name = nameIn(blobs.get(nameOffset));
    const data = blobs.get(dataOffset);
    if (name === undefined || data === undefined) {
      throw at.damage(CONFIG_NAMES_OFFSET + 4 * index, `configuration ${index} points nowhere`);
    }
    configs.push({ name, data });
  }
  return configs;
}

/** A device without size or name does not count: the reader then knows no such id. */
function readDevices(at: Position, view: DataView, blobs: Blobs): VmaDevice[] {
  const devices: VmaDevice[] = [];
  for (let id = 1; id <= LAST_DEVICE_ID; id++) {
    const entry = DEVICES_OFFSET + DEVICE_ENTRY_BYTES * id;
    const size = view.getBigUint64(entry + 8);
    const name = nameIn(blobs.get(view.getUint32(entry)));
    if (size === 0n || name === undefined) continue;
    if (size > MAX_DEVICE_BYTES) throw at.damage(entry + 8, `device ${quoted(name)} claims ${size} bytes`);
    if (devices.some((device) => device.name === name)) {
      throw at.damage(entry, `two devices are named ${quoted(name)}`);
    }
    devices.push({ id, name, size: Number(size) });
  }
  return devices;
}

/** A name out of the archive, fit for a message: printable ASCII, bounded. */
export function quoted(name: string): string {
  return `"${name.slice(0, 64).replaceAll(/[^ -~]|"/g, "?")}"`;
}
