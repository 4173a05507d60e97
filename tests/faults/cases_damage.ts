/** Ways in which an archive can be damaged. A restore of each must be refused before anything is touched. */
import { Random } from "./random.ts";

/** One kind of damage; `damage` gives the archives to try, each with a word on what was done to it. */
export interface DamageCase {
  name: string;
  origin: string;
  /** Ending of the archive's name; a VM's or a container's. */
  ending: "vma" | "vma.zst" | "vma.gz" | "vma.lzo" | "tar" | "tar.zst";
  damage: (archive: Uint8Array) => Iterable<readonly [what: string, bytes: Uint8Array]>;
  /** In the directory that our backup made, where a sha256 is recorded, instead of alone. */
  isRecorded?: true;
  status: number;
  outcome: string;
}

const ENTRY = 8;
const BLOCK = 4096;
const EXTENT_HEADER = 512;
const TAR_BLOCK = 512;
const SEED = 20_250_131;

/** Where the parts of a VMA archive begin: fixed header, blobs, then each extent's header and data. */
function* vmaParts(vma: Uint8Array): Generator<readonly [string, number]> {
  const view = new DataView(vma.buffer, vma.byteOffset, vma.byteLength);
  yield ["the blobs", 12_288];
  let number = 1;
  for (let at = view.getUint32(56); at < vma.length; number++) {
    yield [`extent ${number}`, at];
    yield [`the data of extent ${number}`, at + EXTENT_HEADER];
    at += EXTENT_HEADER + view.getUint16(at + 6) * BLOCK;
  }
}

/** Where the members of a tar archive begin, and the zero blocks that end it. */
function* tarParts(tar: Uint8Array): Generator<readonly [string, number]> {
  let number = 1;
  for (let at = 0; tar[at] !== 0; number++) {
    if (at > 0) yield [`member ${number}`, at];
    const size = parseInt(new TextDecoder().decode(tar.subarray(at + 124, at + 135)), 8);
    at += TAR_BLOCK + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
    if (tar[at] === 0) yield ["the end blocks", at];
  }
}

function* cutsAt(archive: Uint8Array, places: Iterable<readonly [string, number]>) {
  for (const [what, at] of places) yield [`cut before ${what}, at ${at}`, archive.slice(0, at)] as const;
}

function cutsAtBytes(...counts: number[]): DamageCase["damage"] {
  return (archive) => cutsAt(archive, counts.map((count) => [`byte ${count}`, count] as const));
}

function randomCuts(times: number): DamageCase["damage"] {
  return function* (archive) {
    const random = new Random(SEED);
    for (let time = 0; time < times; time++) {
      yield* cutsAt(archive, [["a random byte", random.below(archive.length - 1) + 1]]);
    }
  };
}

function flipped(archive: Uint8Array, at: number, bit = 0): readonly [string, Uint8Array] {
  return [`bit ${bit} of byte ${at} flipped`, archive.with(at, archive[at]! ^ (1 << bit))];
}

/** Bits in the header of the archive and of its extents: each field once, and random ones. */
function* vmaHeaderFlips(vma: Uint8Array) {
  const random = new Random(SEED);
  const view = new DataView(vma.buffer, vma.byteOffset, vma.byteLength);
  for (const at of [0, 4, 8, 24, 32, 48, 52, 56, 2046, 3070, 4096 + 32 + ENTRY]) yield flipped(vma, at, 1);
  for (let time = 0; time < 3; time++) yield flipped(vma, random.below(view.getUint32(56)), random.below(8));
  const extent = view.getUint32(56);
  for (const at of [0, 4, 7, 8, 24, 40, 43, 47]) yield flipped(vma, extent + at, 1);
}

function* tarHeaderFlips(tar: Uint8Array) {
  const parts = [["", 0] as const, ...tarParts(tar)].slice(0, -1);
  for (const [index, [, at]] of parts.entries()) yield flipped(tar, at + [3, 126, 150, 258][index % 4]!, 2);
}

function* randomFlips(archive: Uint8Array) {
  const random = new Random(SEED);
  for (let time = 0; time < 3; time++) yield flipped(archive, random.below(archive.length), random.below(8));
}

const REFUSED = "refused; the guest is untouched";
const damaged = (
  name: string,
  origin: string,
  ending: DamageCase["ending"],
  damage: DamageCase["damage"],
  more: Partial<DamageCase> = {},
): DamageCase => ({ name, origin, ending, damage, status: 5, outcome: REFUSED, ...more });

/** Every kind of damage. */
export const DAMAGES: readonly DamageCase[] = [
  damaged("an empty archive", "0 bytes", "vma", cutsAtBytes(0)),
  damaged(
    "a VM's archive cut within its header",
    "1, 4095, 12287 bytes",
    "vma",
    cutsAtBytes(1, 4095, 12_287),
  ),
  damaged(
    "a VM's archive cut at each structural boundary",
    "the format has no end mark: `vma extract` ends with signal 5",
    "vma",
    (vma) => cutsAt(vma, vmaParts(vma)),
  ),
  damaged("a VM's archive cut at random places", "`short vma extent`", "vma", randomCuts(4)),
  damaged("flipped bits in headers of a VM's archive", "their md5 does not fit", "vma", vmaHeaderFlips),
  damaged("bytes behind a VM's archive", "`wrong vma extent header chechsum`", "vma", (vma) => [
    ["512 zero bytes behind it", Uint8Array.from([...vma, ...new Uint8Array(512)])],
  ]),
  damaged(
    "a VM's archive with another magic",
    "60 s later: `got timeout reading VMA header`",
    "vma",
    (vma) => [
      ["text before it", Uint8Array.from([...new TextEncoder().encode("#!/bin/sh\n"), ...vma])],
    ],
  ),
  damaged("a container's archive cut within its header", "1, 511 bytes", "tar", cutsAtBytes(1, 511)),
  damaged(
    "a container's archive cut at each member",
    "tar extracts it with status **0**",
    "tar",
    (tar) => cutsAt(tar, tarParts(tar)),
  ),
  damaged(
    "a container's archive cut at random places",
    "`tar: Unexpected EOF in archive`",
    "tar",
    randomCuts(4),
  ),
  damaged(
    "flipped bits in headers of a container's archive",
    "their checksum does not fit",
    "tar",
    tarHeaderFlips,
  ),
  ...(["vma.zst", "vma.gz", "vma.lzo", "tar.zst"] as const).flatMap((ending) => [
    damaged(`a .${ending} cut at random places`, "the decompressor fails, with luck", ending, randomCuts(2)),
    damaged(
      `flipped bits in a .${ending}`,
      "the compression's own checksum does not fit",
      ending,
      randomFlips,
    ),
  ]),
  damaged("flipped bits anywhere in a backup of ours", "a VMA's data has no checksum", "vma", randomFlips, {
    isRecorded: true,
    outcome: "refused by its recorded sha256; the guest is untouched",
  }),
];
