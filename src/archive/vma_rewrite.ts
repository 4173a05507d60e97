import { createHash } from "node:crypto";
import { UserError } from "../core/errors.ts";
import { type Position, skip, StreamWalk, type Walk } from "./stream_walk.ts";
import {
  type Blobs,
  CONFIG_COUNT,
  CONFIG_DATA_OFFSET,
  CONFIG_NAMES_OFFSET,
  DEVICE_ENTRY_BYTES,
  DEVICES_OFFSET,
  LAST_DEVICE_ID,
  MD5_OFFSET,
  nameIn,
  parseVmaHeader,
  quoted,
  readBlobs,
  takeVmaHeader,
  viewOf,
  type VmaConfig,
} from "./vma_header.ts";

/** Answers what a configuration in the archive is to be from now on. */
export type ConfigChange = (config: VmaConfig) => Uint8Array;

/** Header sizes are multiples of it. */
const SECTOR_BYTES = 512;
/** A blob's length has 16 bits. */
const MAX_BLOB_BYTES = 65535;

/**
 * Gives a VMA archive other configurations while it passes. Only the header is held back, until it is whole; the
 * extents go through as they are, since nothing in them says where they stand in the file.
 */
export class VmaRewrite {
  readonly #walk: StreamWalk<void>;
  #header: Uint8Array | undefined;
  /** Size of the header that comes in. */
  #headerBytes = 0;
  #taken = 0;

  constructor(change: ConfigChange) {
    this.#walk = new StreamWalk((at) => this.#readHeader(at, change));
  }

  /**
   * Takes the next bytes and answers what may be written of the new archive, in order; bytes of extents are the
   * chunk's own.
   *
   * @throws {ArchiveDamage} when the header is none that Proxmox reads
   * @throws {UserError} when a configuration becomes larger than VMA takes
   */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    if (this.#header !== undefined) return [chunk];
    const start = this.#taken;
    this.#taken += chunk.length;
    this.#walk.push(chunk);
    // What `push` has just called may have found the header.
    const header = this.#header as Uint8Array | undefined;
    return header === undefined ? [] : [header, chunk.subarray(this.#headerBytes - start)];
  }

  /** Says that the archive is over. Throws {@linkcode ArchiveDamage} if it ended inside of the header. */
  end(): void {
    if (this.#header === undefined) this.#walk.end();
  }

  *#readHeader(at: Position, change: ConfigChange): Walk<void> {
    const header = yield* takeVmaHeader(at);
    this.#headerBytes = header.length;
    this.#header = withConfigs(at, header, change);
    yield skip(Infinity, "the archive");
  }
}

/** The header with other configurations. It keeps its size where they fit, so that the extents stay where they are. */
function withConfigs(at: Position, header: Uint8Array, change: ConfigChange): Uint8Array {
  parseVmaHeader(at, header); // refuses what Proxmox refuses
  const old = viewOf(header);
  const blobs = changedBlobs(old, readBlobs(at, header), change);
  const start = old.getUint32(48);
  const { moved, used } = layOut(blobs);
  const size = Math.max(header.length, Math.ceil((start + used) / SECTOR_BYTES) * SECTOR_BYTES);

  const changed = new Uint8Array(size);
  const view = viewOf(changed);
  changed.set(header.subarray(0, start));
  for (const [offset, blob] of blobs) {
    const place = start + (moved.get(offset) as number);
    view.setUint16(place, blob.length, true);
    changed.set(blob, place + 2);
  }
  view.setUint32(52, used);
  view.setUint32(56, size);
  for (const place of pointerOffsets()) view.setUint32(place, moved.get(old.getUint32(place)) ?? 0);
  changed.set(createHash("md5").update(changed).digest(), MD5_OFFSET);
  return changed;
}

function changedBlobs(header: DataView, blobs: Blobs, change: ConfigChange): Blobs {
  const changed = new Map(blobs);
  for (let index = 0; index < CONFIG_COUNT; index++) {
    const name = nameIn(blobs.get(header.getUint32(CONFIG_NAMES_OFFSET + 4 * index)));
    const offset = header.getUint32(CONFIG_DATA_OFFSET + 4 * index);
    const data = blobs.get(offset);
    if (name === undefined || data === undefined) continue;
    const blob = change({ name, data });
    if (blob.length > MAX_BLOB_BYTES) {
      const what = `${quoted(name)} would have ${blob.length} bytes`;
      throw new UserError("failed", `Cannot write storages into the archive: ${what}, VMA takes 65535`, {
        hint: "give one storage for all disks with --storage",
      });
    }
    changed.set(offset, blob);
  }
  return changed;
}

/** Where each blob goes, by where it was. Readers walk from blob to blob: there may be no gap between two. */
function layOut(blobs: Blobs): { moved: ReadonlyMap<number, number>; used: number } {
  const moved = new Map<number, number>();
  let used = 1; // byte 0 is unused, so that 0 can mean "none"
  for (const [offset, { length }] of blobs) {
    moved.set(offset, used);
    used += 2 + length;
  }
  return { moved, used };
}

/** Where the fixed header points into the blobs. */
function* pointerOffsets(): Generator<number> {
  for (let index = 0; index < CONFIG_COUNT; index++) {
    yield CONFIG_NAMES_OFFSET + 4 * index;
    yield CONFIG_DATA_OFFSET + 4 * index;
  }
  for (let id = 1; id <= LAST_DEVICE_ID; id++) yield DEVICES_OFFSET + DEVICE_ENTRY_BYTES * id;
}
