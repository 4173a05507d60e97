/** Reads VMA archives with all checks of the real `vma extract`, and its texts. */
import { createHash } from "node:crypto";
import { BLOCK, CLUSTER } from "./disk_data.ts";
import { bitCount } from "./vma_write.ts";

const FIXED_HEADER = 12288;
const MAX_HEADER = 524288;
const EXTENT_HEADER = 512;
const ENTRIES = 59;
const MAX_EXTENT = EXTENT_HEADER + ENTRIES * CLUSTER;

/** The archive is refused; `signal` is what the real program dies of. */
export class VmaError extends Error {
  override readonly name = "VmaError";
  constructor(message: string, readonly signal: 5 | 6 = 5) {
    super(message);
  }
}

export interface VmaHeader {
  configs: { name: string; content: Uint8Array }[];
  devices: { id: number; name: string; size: number }[];
  uuid: Uint8Array;
  /** Seconds since the epoch. */
  ctime: number;
}

/** Fills `buffer` and answers how many bytes came; fewer only at the end of the input. */
export type FillBuffer = (buffer: Uint8Array) => number;

/** Takes present blocks: `offset` counts within the cluster. */
export type BlockWriter = (device: number, cluster: number, offset: number, bytes: Uint8Array) => void;

function digestMatches(bytes: Uint8Array, at: number): boolean {
  const stored = bytes.slice(at, at + 16);
  bytes.fill(0, at, at + 16);
  const digest = createHash("md5").update(bytes).digest();
  bytes.set(stored, at);
  return stored.every((value, index) => value === digest[index]);
}

const decoder = new TextDecoder();

type Blobs = ReadonlyMap<number, Uint8Array>;

/** The blobs by offset. The real reader walks from one to the next: an offset between two of them points nowhere. */
function readBlobs(header: Uint8Array, start: number, used: number): Blobs {
  const view = new DataView(header.buffer);
  const blobs = new Map<number, Uint8Array>();
  for (let offset = 1; offset + 2 <= used;) {
    const data = start + offset + 2;
    const length = view.getUint16(start + offset, true);
    if (offset + 2 + length <= used) blobs.set(offset, header.slice(data, data + length));
    offset += 2 + length;
  }
  return blobs;
}

/** A name ends with a NUL that its length counts. */
function nameOf(blob: Uint8Array | undefined): string | undefined {
  return blob?.at(-1) === 0 ? decoder.decode(blob).replace(/\0+$/, "") : undefined;
}

function readConfigs(view: DataView, blobs: Blobs): VmaHeader["configs"] {
  const configs: VmaHeader["configs"] = [];
  for (let index = 0; index < 256; index++) {
    const name = view.getUint32(2044 + index * 4);
    const data = view.getUint32(3068 + index * 4);
    if (name === 0 || data === 0) continue;
    const text = nameOf(blobs.get(name));
    const content = blobs.get(data);
    if (text === undefined || !content) throw new VmaError("vma contains invalid data pointers");
    configs.push({ name: text, content });
  }
  return configs;
}

function readDevices(view: DataView, blobs: Blobs): VmaHeader["devices"] {
  const devices: VmaHeader["devices"] = [];
  for (let id = 1; id < 255; id++) {
    const at = 4096 + id * 32;
    const size = Number(view.getBigUint64(at + 8));
    const name = nameOf(blobs.get(view.getUint32(at)));
    if (size !== 0 && name !== undefined) devices.push({ id, name, size });
  }
  return devices;
}

/** Reads and checks the header. */
export function readVmaHeader(fill: FillBuffer): VmaHeader {
  const fixed = new Uint8Array(FIXED_HEADER);
  if (fill(fixed) < FIXED_HEADER) throw new VmaError("can't read vma header - got EOF");
  if (decoder.decode(fixed.subarray(0, 4)) !== "VMA\0") {
    throw new VmaError("not a vma file - wrong magic number");
  }
  const size = new DataView(fixed.buffer).getUint32(56);
  if (size <= FIXED_HEADER || size > MAX_HEADER) throw new VmaError(`wrong vma header size ${size}`);
  const header = new Uint8Array(size);
  header.set(fixed);
  const rest = header.subarray(FIXED_HEADER);
  if (fill(rest) < rest.length) throw new VmaError("can't read vma header data - got EOF");
  if (!digestMatches(header, 32)) throw new VmaError("wrong vma header chechsum");
  const view = new DataView(header.buffer);
  if (view.getUint32(4) !== 1) throw new VmaError(`wrong vma version ${view.getUint32(4)}`);
  const offset = view.getUint32(48);
  const used = view.getUint32(52);
  if (offset < FIXED_HEADER) throw new VmaError(`wrong vma blob buffer offset ${offset}`);
  if (offset + used > size) throw new VmaError(`wrong vma blob buffer size ${offset}/${used}`);
  const blobs = readBlobs(header, offset, used);
  const configs = readConfigs(view, blobs);
  const devices = readDevices(view, blobs);
  return { configs, devices, uuid: header.slice(8, 24), ctime: Number(view.getBigInt64(24)) };
}

/** Which clusters of a device have come. */
class ClusterMap {
  readonly count: number;
  readonly #seen: Uint8Array;
  constructor(readonly device: { id: number; name: string; size: number }) {
    this.count = Math.ceil(device.size / CLUSTER);
    this.#seen = new Uint8Array(this.count);
  }

  mark(cluster: number): void {
    // The real bitmap has whole 64-bit words; beyond them an assertion ends the program.
    if (cluster >= Math.ceil(this.count / 64) * 64) throw new VmaError("assertion failed", 6);
    if (this.#seen[cluster] === 1) {
      throw new VmaError(`found duplicated cluster ${cluster} for stream ${this.device.name}`);
    }
    if (cluster >= this.count) throw new VmaError("got wrong block address - write beyond end");
    this.#seen[cluster] = 1;
  }

  requireAll(): void {
    const missing = this.#seen.indexOf(0);
    if (missing >= 0) {
      throw new VmaError(`detected missing cluster ${missing} for stream ${this.device.name}`);
    }
  }
}

export interface ExtractTotals {
  read: number;
  zero: number;
}

/** Reads all extents. `progress` gets the bytes of disk so far, zeros included. */
export class VmaExtractor {
  readonly totals: ExtractTotals = { read: 0, zero: 0 };
  readonly #maps: Map<number, ClusterMap>;
  readonly #buffer = new Uint8Array(MAX_EXTENT);
  readonly #view = new DataView(this.#buffer.buffer);

  constructor(readonly header: VmaHeader, readonly fill: FillBuffer, readonly write: BlockWriter) {
    this.#maps = new Map(header.devices.map((device) => [device.id, new ClusterMap(device)]));
  }

  run(progress: (read: number) => void): ExtractTotals {
    for (;;) {
      const got = this.fill(this.#buffer.subarray(0, EXTENT_HEADER));
      if (got === 0) break;
      if (got < EXTENT_HEADER) throw new VmaError(`restore failed - read short extent (${got} bytes)`);
      try {
        this.#extent();
      } catch (error) {
        if (error instanceof VmaError && error.signal === 5) {
          throw new VmaError(`restore failed - ${error.message}`);
        }
        throw error;
      }
      progress(this.totals.read);
    }
    for (const map of this.#maps.values()) map.requireAll();
    return this.totals;
  }

  #extent(): void {
    const head = this.#buffer.subarray(0, EXTENT_HEADER);
    if (!digestMatches(head, 24)) throw new VmaError("wrong vma extent header chechsum");
    if (this.header.uuid.some((byte, index) => byte !== head[8 + index])) {
      throw new VmaError("wrong vma extent uuid");
    }
    if (this.#view.getUint32(0) !== 0x564d4145 || this.#view.getUint16(4) !== 0) {
      throw new VmaError("wrong vma extent header magic");
    }
    const end = EXTENT_HEADER + this.#view.getUint16(6) * BLOCK;
    const got = end > MAX_EXTENT ? 0 : this.fill(this.#buffer.subarray(EXTENT_HEADER, end));
    if (EXTENT_HEADER + got < end) throw new VmaError(`short vma extent (${EXTENT_HEADER + got} < ${end})`);
    let at = EXTENT_HEADER;
    for (let index = 0; index < ENTRIES; index++) at = this.#entry(40 + index * 8, at, end);
    if (at !== end) throw new VmaError("vma extent error - missing blocks");
  }

  /** Handles one blockinfo entry; answers where the next entry's data starts. */
  #entry(entry: number, start: number, end: number): number {
    const id = this.#view.getUint8(entry + 3);
    if (id === 0) return start;
    const mask = this.#view.getUint16(entry);
    const cluster = this.#view.getUint32(entry + 4);
    const map = this.#maps.get(id);
    if (map === undefined) throw new VmaError(`got wrong dev id ${id}`);
    map.mark(cluster);
    const blocks = bitCount(mask);
    if (start + blocks * BLOCK > end) throw new VmaError("short vma extent - too many blocks");
    this.totals.read += CLUSTER;
    this.totals.zero += (16 - blocks) * BLOCK;
    let at = start;
    for (let block = 0; block < 16;) {
      if ((mask >> block & 1) === 0) {
        block++;
        continue;
      }
      let next = block + 1;
      while (next < 16 && (mask >> next & 1) === 1) next++;
      const length = (next - block) * BLOCK;
      this.#put(map, cluster, block * BLOCK, this.#buffer.subarray(at, at + length));
      at += length;
      block = next;
    }
    return at;
  }

  #put(map: ClusterMap, cluster: number, offset: number, bytes: Uint8Array): void {
    const left = map.device.size - (cluster * CLUSTER + offset);
    if (left <= bytes.length - BLOCK) throw new VmaError("got wrong block address - write beyond end");
    this.write(map.device.id, cluster, offset, left < bytes.length ? bytes.subarray(0, left) : bytes);
  }
}
