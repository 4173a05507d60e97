/**
 * Contents of simulated disks. A generated cluster depends on the disk's seed and the cluster's number
 * alone, so that a restored disk can be compared without keeping the original.
 */

export const BLOCK = 4096;
export const CLUSTER = 65536;
const FULL_MASK = 0xffff;

/** Where a disk's bytes come from; plain data, so that it can be handed to a thread. */
export interface DiskSource {
  size: number;
  seed: number;
  synthetic: boolean;
  path?: string;
}

/** Reads one disk cluster by cluster. A view is valid until the next call on any reader of its kind. */
export interface ClusterReader {
  /** Bit j: block j of the cluster holds something else than zeros. */
  mask(cluster: number): number;
  bytes(cluster: number): Uint8Array;
  close(): void;
}

/** A small fast generator (xorshift32); good enough to be incompressible. */
export function randomWords(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Prime, so that neighbouring disks do not line up; 2.3 MiB is more than zstd's usual window. */
const SLOTS = 37;
let pool: Uint8Array[] | undefined;

function slots(): Uint8Array[] {
  if (pool) return pool;
  const next = randomWords(20240102);
  const words = new Uint32Array(SLOTS * CLUSTER / 4);
  // `| 1` keeps every word, and with it every block, non-zero.
  for (let index = 0; index < words.length; index++) words[index] = next() | 1;
  pool = Array.from({ length: SLOTS }, (_, slot) => new Uint8Array(words.buffer, slot * CLUSTER, CLUSTER));
  return pool;
}

/** The cluster's bytes in a shared buffer: a pool slot with a stamp that makes it unique. */
function syntheticCluster(seed: number, cluster: number): Uint8Array {
  const bytes = slots()[(cluster + seed) % SLOTS]!;
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(
    0,
    (BigInt(seed >>> 0) << 32n) | BigInt(cluster) | 1n << 63n,
  );
  return bytes;
}

class SyntheticReader implements ClusterReader {
  readonly #tail = new Uint8Array(CLUSTER);
  constructor(readonly disk: DiskSource) {}

  #present(cluster: number): number {
    return Math.min(CLUSTER, this.disk.size - cluster * CLUSTER);
  }

  mask(cluster: number): number {
    const blocks = Math.ceil(this.#present(cluster) / BLOCK);
    return FULL_MASK >>> (16 - blocks);
  }

  bytes(cluster: number): Uint8Array {
    const present = this.#present(cluster);
    const whole = syntheticCluster(this.disk.seed, cluster);
    if (present === CLUSTER) return whole;
    this.#tail.fill(0);
    this.#tail.set(whole.subarray(0, present));
    return this.#tail;
  }

  close(): void {}
}

class FileReader implements ClusterReader {
  readonly #file: Deno.FsFile;
  readonly #words = new Uint32Array(CLUSTER / 4);
  readonly #buffer = new Uint8Array(this.#words.buffer);
  #loaded = -1;

  constructor(path: string) {
    this.#file = Deno.openSync(path);
  }

  bytes(cluster: number): Uint8Array {
    if (cluster === this.#loaded) return this.#buffer;
    this.#file.seekSync(cluster * CLUSTER, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < CLUSTER) {
      const count = this.#file.readSync(this.#buffer.subarray(filled));
      if (count === null) break;
      filled += count;
    }
    this.#buffer.fill(0, filled);
    this.#loaded = cluster;
    return this.#buffer;
  }

  mask(cluster: number): number {
    this.bytes(cluster);
    let mask = 0;
    for (let block = 0; block < 16; block++) {
      const from = block * (BLOCK / 4);
      for (let word = from; word < from + BLOCK / 4; word++) {
        if (this.#words[word] !== 0) {
          mask |= 1 << block;
          break;
        }
      }
    }
    return mask;
  }

  close(): void {
    this.#file.close();
  }
}

/** Opens a reader for a disk. */
export function openDisk(disk: DiskSource): ClusterReader {
  return disk.synthetic ? new SyntheticReader(disk) : new FileReader(disk.path!);
}

/** Compares what comes back from an archive with what the generator makes for the disk. */
export class SyntheticCheck {
  /** Learned from the first stamp. */
  seed: number | undefined;
  readonly #expected = new SyntheticReader({ size: Infinity, seed: 0, synthetic: true });

  /** Whether `bytes` are right for the disk at this place. `offset` counts within the cluster. */
  matches(cluster: number, offset: number, bytes: Uint8Array): boolean {
    if (offset === 0) {
      const stamp = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
      this.seed ??= Number((stamp >> 32n) & 0x7fffffffn);
    }
    if (this.seed === undefined) return false;
    this.#expected.disk.seed = this.seed;
    return equalBytes(bytes, this.#expected.bytes(cluster).subarray(offset, offset + bytes.length));
  }
}

/** Compares by words where the alignment allows it: memory speed. */
function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.byteOffset % 4 !== 0 || right.byteOffset % 4 !== 0 || left.length % 4 !== 0) {
    return left.every((value, index) => value === right[index]);
  }
  const a = new Uint32Array(left.buffer, left.byteOffset, left.length / 4);
  const b = new Uint32Array(right.buffer, right.byteOffset, left.length / 4);
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/**
 * Writes a raw disk with a pattern from `seed`: full clusters, half-zero clusters, single blocks and
 * holes take turns, so that zero detection, sparse files and masks all have work.
 */
export function writePattern(path: string, size: number, seed: number): void {
  const file = Deno.openSync(path, { create: true, truncate: true, write: true });
  try {
    file.truncateSync(size);
    const next = randomWords(seed + 1);
    const words = new Uint32Array(CLUSTER / 4);
    const bytes = new Uint8Array(words.buffer);
    for (let cluster = 0; cluster * CLUSTER < size; cluster++) {
      const kind = next() % 8;
      if (kind >= 6) continue;
      for (let index = 0; index < words.length; index++) words[index] = next();
      if (kind === 4) bytes.fill(0, CLUSTER / 2);
      if (kind === 5) bytes.fill(0, 0, CLUSTER - BLOCK);
      const present = Math.min(CLUSTER, size - cluster * CLUSTER);
      file.seekSync(cluster * CLUSTER, Deno.SeekMode.Start);
      file.writeSync(bytes.subarray(0, present));
    }
  } finally {
    file.close();
  }
}
