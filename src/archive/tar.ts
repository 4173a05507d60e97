import { expandSparse, type PaxOverrides, readPax } from "./pax.ts";
import { type Position, skip, take, upTo, type Walk } from "./stream_walk.ts";
import { isZero, padded, readTarHeader, TAR_BLOCK_BYTES, type TarHeader, textIn } from "./tar_header.ts";

/** What a whole container archive holds for us. */
export interface TarContents {
  readonly config: Uint8Array;
  /** Empty when the container has no firewall rules. */
  readonly firewall: Uint8Array;
  /** Members, extended headers not counted. */
  readonly members: number;
}

const CONFIG_NAME = "etc/vzdump/pct.conf";
const FIREWALL_NAME = "etc/vzdump/pct.fw";
const MAX_CONFIG_BYTES = 1024 * 1024;
/** Extended attributes of one file travel in its extended header; more than this is no header. */
const MAX_EXTENDED_BYTES = 16 * 1024 * 1024;
const PADDING_PIECE_BYTES = 10240;

/**
 * Walks a tar as vzdump writes it (pax, sparse members, extended attributes) or as old GNU tar does.
 * Whole means: each member's header matches its checksum, the two zero blocks of the end stand where
 * the last member ends, and nothing but zeros follows. GNU tar itself takes a cut between two
 * members for a good end. File contents have no checksum. `onConfig` is told the configuration as soon as
 * it has passed; vzdump writes it first.
 */
export function* walkTar(at: Position, onConfig?: (config: Uint8Array) => void): Walk<TarContents> {
  const found = new Map<string, Uint8Array>();
  let members = 0;
  for (;;) {
    const member = yield* readMember(at);
    if (member === undefined) break;
    members += 1;
    const isKnown = found.has(CONFIG_NAME);
    yield* passData(at, member, found);
    const known = found.get(CONFIG_NAME);
    if (known !== undefined && !isKnown) onConfig?.(known);
  }
  yield* refuseTrailing(at);
  const config = found.get(CONFIG_NAME);
  if (config === undefined) {
    throw at.damage(0, "it holds no container configuration, no ./etc/vzdump/pct.conf");
  }
  return { config, firewall: found.get(FIREWALL_NAME) ?? new Uint8Array(0), members };
}

type Member = TarHeader & PaxOverrides;

/** A member's header with what the extended headers before it say; `undefined` at the end mark. */
function* readMember(at: Position): Walk<Member | undefined> {
  let overrides: PaxOverrides = {};
  let isExtended = false;
  for (;;) {
    const start = at.offset;
    const block = yield upTo(TAR_BLOCK_BYTES);
    if (block.length === 0) throw at.cut("the end mark of the tar is missing");
    if (block.length < TAR_BLOCK_BYTES) throw at.cut(`inside the tar header at byte ${start}`);
    if (isZero(block)) {
      if (isExtended) throw at.damage(start, "an extended header has no member");
      const second = yield take(TAR_BLOCK_BYTES, "the end mark of the tar");
      if (!isZero(second)) throw at.damage(start, "a single zero block stands among the members");
      return undefined;
    }
    const header = readTarHeader(at, start, block);
    if (!"xgLK".includes(header.type)) {
      if (header.mapGoesOn) yield* passSparseMap();
      return { ...header, ...overrides };
    }
    isExtended ||= header.type !== "g";
    overrides = { ...overrides, ...(yield* readExtended(at, start, header)) };
  }
}

/** Reads the data of an extended header that starts at byte `start`. */
function* readExtended(at: Position, start: number, { type, size }: TarHeader): Walk<PaxOverrides> {
  if (size > MAX_EXTENDED_BYTES) throw at.damage(start, `an extended header claims ${size} bytes`);
  const dataStart = at.offset;
  const data = (yield take(padded(size), `the extended header at byte ${start}`)).subarray(0, size);
  if (type === "L") return { name: textIn(data) };
  // "K" is the long target of a link, which nothing here needs.
  if (type === "K") return {};
  const overrides = readPax(at, dataStart, data);
  // A global header ("g") cannot give sizes or names that make sense for more than one member.
  return type === "x" ? overrides : {};
}

/** Old GNU sparse members: the map goes on in blocks of their own, the last one says so in byte 504. */
function* passSparseMap(): Walk<void> {
  for (;;) {
    const block = yield take(TAR_BLOCK_BYTES, "a sparse map");
    if (block[504] === 0) return;
  }
}

function* passData(
  at: Position,
  { name, type, size, isSparse }: Member,
  found: Map<string, Uint8Array>,
): Walk<void> {
  const plainName = name.replace(/^(\.?\/)+/, "");
  const isWanted = (plainName === CONFIG_NAME || plainName === FIREWALL_NAME) && "0\x007".includes(type);
  // Proxmox reads the first of several; a container may hold a file of that name itself.
  if (!isWanted || found.has(plainName)) {
    yield skip(padded(size), `the member that ends at byte ${at.offset + padded(size)}`);
    return;
  }
  if (size > MAX_CONFIG_BYTES) throw at.damage(at.offset, `./${plainName} claims ${size} bytes`);
  const data = (yield take(padded(size), `./${plainName}`)).subarray(0, size);
  const content = isSparse ? expandSparse(data, MAX_CONFIG_BYTES) : data.slice();
  if (content === undefined) {
    throw at.damage(at.offset - padded(size), `the sparse map of ./${plainName} is wrong`);
  }
  found.set(plainName, content);
}

function* refuseTrailing(at: Position): Walk<void> {
  for (;;) {
    const start = at.offset;
    const rest = yield upTo(PADDING_PIECE_BYTES);
    if (rest.length === 0) return;
    const index = rest.findIndex((byte) => byte !== 0);
    if (index >= 0) throw at.damage(start + index, "something follows the end mark of the tar");
  }
}
