import { ClusterSet } from "./cluster_set.ts";
import { type Position, skip, upTo, type Walk } from "./stream_walk.ts";
import {
  CLUSTER_BYTES,
  md5Matches,
  quoted,
  readVmaHeader,
  viewOf,
  type VmaConfig,
  type VmaDevice,
  type VmaHeader,
} from "./vma_header.ts";

/** What a whole VMA archive holds. */
export interface VmaContents {
  readonly configs: readonly VmaConfig[];
  readonly devices: readonly VmaDevice[];
}

const EXTENT_HEADER_BYTES = 512;
const EXTENT_MAGIC = 0x564d4145;
const ENTRIES_OFFSET = 40;
const BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;
const FULL_MASK = 0xffff;
/** Enough for 64 TiB written in the most scattered order; only a forged archive needs more. */
const MAX_TRACKING_BYTES = 128 * 1024 * 1024;

/** A device and what was seen of it. */
interface Track {
  readonly device: VmaDevice;
  /** Its name, fit for messages. */
  readonly label: string;
  readonly clusters: ClusterSet;
  /** Blocks that begin before the end of the disk; the last one may reach past it. */
  readonly blocks: number;
  /** Saved memory: clusters come in order, and nobody knows how many. */
  readonly isMemory: boolean;
  /** Clusters so far. */
  seen: number;
}

/**
 * Walks a VMA archive. Whole means: each cluster of each disk exactly once. The format has no end
 * mark, so a cut between two extents shows in missing clusters only, and Proxmox's own `vma verify`
 * does not count them. Disk data has no checksum: a changed data byte goes unnoticed here as there.
 *
 * `onHeader` is told configurations and devices as soon as they are known, at the beginning.
 *
 * Refuses what `vma extract` refuses, besides two things of no use to anyone: an entry without data
 * for a cluster past the disk's end, and a header above 1 MiB. A header without devices needs no
 * extent: `vma extract` gives its configuration back and nothing can be missing.
 */
export function* walkVma(at: Position, onHeader?: (contents: VmaContents) => void): Walk<VmaContents> {
  const header = yield* readVmaHeader(at);
  onHeader?.(header);
  const tracks = new Map(header.devices.map((device) => [device.id, trackOf(device)]));
  for (;;) {
    const start = at.offset;
    const extent = yield upTo(EXTENT_HEADER_BYTES);
    if (extent.length === 0) break;
    if (extent.length < EXTENT_HEADER_BYTES) throw at.cut(`inside the extent header at byte ${start}`);
    const blocks = readExtentHeader(at, start, { extent: extent.slice(), header, tracks });
    refuseForgery(at, start, tracks);
    yield skip(blocks * BLOCK_BYTES, `the extent at byte ${start}`);
  }
  for (const track of tracks.values()) refuseMissing(at, track);
  return { configs: header.configs, devices: header.devices };
}

function trackOf(device: VmaDevice): Track {
  const sectors = Math.floor(device.size / SECTOR_BYTES);
  return {
    device,
    label: quoted(device.name),
    clusters: new ClusterSet(Math.ceil(device.size / CLUSTER_BYTES)),
    blocks: Math.ceil(sectors * SECTOR_BYTES / BLOCK_BYTES),
    isMemory: device.name === "vmstate",
    seen: 0,
  };
}

interface Extent {
  readonly extent: Uint8Array;
  readonly header: VmaHeader;
  readonly tracks: ReadonlyMap<number, Track>;
}

/** Checks an extent header that starts at byte `start`; answers how many blocks of data follow it. */
function readExtentHeader(at: Position, start: number, { extent, header, tracks }: Extent): number {
  if (!md5Matches(extent, 24)) {
    throw at.damage(start, "what should be an extent header does not match its checksum");
  }
  if (!header.uuid.every((byte, index) => byte === extent[8 + index])) {
    throw at.damage(start + 8, "the extent belongs to another archive");
  }
  const view = viewOf(extent);
  if (view.getUint32(0) !== EXTENT_MAGIC || view.getUint16(4) !== 0) {
    throw at.damage(start, "the extent header has no extent magic");
  }
  let stored = 0;
  for (let offset = ENTRIES_OFFSET; offset < EXTENT_HEADER_BYTES; offset += 8) {
    const id = view.getUint8(offset + 3);
    if (id === 0) continue;
    const track = tracks.get(id);
    if (track === undefined) throw at.damage(start + offset, `an extent names the unknown device ${id}`);
    const mask = view.getUint16(offset);
    noteCluster(at, start + offset, { track, cluster: view.getUint32(offset + 4), mask });
    stored += bitCount(mask);
  }
  const blocks = view.getUint16(6);
  if (blocks !== stored) {
    throw at.damage(start + 6, `the extent announces ${blocks} blocks, its entries ${stored}`);
  }
  return blocks;
}

interface Entry {
  readonly track: Track;
  readonly cluster: number;
  readonly mask: number;
}

function noteCluster(at: Position, offset: number, { track, cluster, mask }: Entry): void {
  const fault = faultOf({ track, cluster, mask });
  if (fault !== undefined) throw at.damage(offset, `cluster ${cluster} of device ${track.label} ${fault}`);
  track.seen += 1;
}

/** What is wrong with an entry; notes its cluster when nothing is. */
function faultOf({ track, cluster, mask }: Entry): string | undefined {
  if (track.isMemory) return cluster === track.seen ? undefined : "is out of order";
  if (cluster >= track.clusters.total || (mask !== 0 && pastEnd(track, cluster, mask))) {
    return `reaches past its end at ${track.device.size} bytes`;
  }
  return track.clusters.add(cluster) ? undefined : "comes twice";
}

/** Does a stored block begin behind the disk's end? A full mask counts as one block, as in the reader. */
function pastEnd(track: Track, cluster: number, mask: number): boolean {
  const highest = mask === FULL_MASK ? 0 : 31 - Math.clz32(mask);
  return cluster * (CLUSTER_BYTES / BLOCK_BYTES) + highest >= track.blocks;
}

function refuseForgery(at: Position, start: number, tracks: ReadonlyMap<number, Track>): void {
  let held = 0;
  for (const { clusters } of tracks.values()) held += clusters.heldBytes;
  if (held > MAX_TRACKING_BYTES) {
    throw at.damage(start, "the clusters are scattered too widely to be followed");
  }
}

function refuseMissing(at: Position, { clusters, label, isMemory }: Track): void {
  const first = clusters.firstMissing();
  if (isMemory || first === undefined) return;
  throw at.cut(
    `and ${clusters.missing} of ${clusters.total} clusters of device ${label} are missing, ` +
      `the first is ${first}`,
  );
}

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
