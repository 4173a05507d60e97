import assert from "node:assert/strict";
import { walkVma } from "../../../src/archive/vma.ts";
import { damageOf, walked } from "./helpers.ts";
import {
  buildExtent,
  buildVma,
  clusters,
  type ExtentSpec,
  joinBytes,
  sign,
  type VmaSpec,
} from "./vma_bytes.ts";

const FULL = 0xffff;
const DISK: VmaSpec = {
  devices: [{ name: "drive-scsi0", size: 4 * 65536 }],
  extents: [{ entries: clusters(1, 0, 4) }],
};

function withEntries(entries: ExtentSpec["entries"], size: number | bigint = 4 * 65536): VmaSpec {
  return { devices: [{ name: "drive-scsi0", size }], extents: [{ entries }] };
}

function spoiledExtent(spoil: NonNullable<ExtentSpec["spoil"]>): Uint8Array<ArrayBuffer> {
  return buildVma({ ...DISK, extents: [{ entries: clusters(1, 0, 4), spoil }] });
}

function inHeader(offset: number, value: number): Uint8Array<ArrayBuffer> {
  return buildVma({ ...DISK, spoilHeader: (_, view) => view.setUint32(offset, value) });
}

/** Each archive that Proxmox's reader takes though its writer does not write it so. */
const ACCEPTED: Record<string, Uint8Array<ArrayBuffer>> = {
  "zero clusters only": buildVma(DISK),
  "59 entries in an extent": buildVma({
    devices: [{ name: "drive-scsi0", size: 60 * 65536 }],
    extents: [{ entries: clusters(1, 0, 59) }, { entries: clusters(1, 59, 60) }],
  }),
  "empty extents anywhere": buildVma({
    ...DISK,
    extents: [{ entries: [] }, { entries: clusters(1, 0, 2) }, { entries: [] }, {
      entries: clusters(1, 2, 4),
    }, { entries: [] }],
  }),
  "unused entries between used ones, whatever their mask": buildVma(withEntries([
    { device: 0, cluster: 7, mask: 0 },
    ...clusters(1, 0, 4),
  ])),
  "clusters in any order": buildVma({
    ...DISK,
    extents: [{ entries: [...clusters(1, 3, 4, FULL), ...clusters(1, 1, 2)] }, {
      entries: [...clusters(1, 2, 3), ...clusters(1, 0, 1, 5)],
    }],
  }),
  "two devices mixed": buildVma({
    devices: [{ name: "drive-scsi0", size: 2 * 65536 }, { name: "drive-scsi1", size: 65536 }],
    extents: [{ entries: [...clusters(1, 1, 2), ...clusters(2, 0, 1), ...clusters(1, 0, 1)] }],
  }),
  "a last cluster that ends inside a block": buildVma(
    withEntries([...clusters(1, 0, 1, FULL), ...clusters(1, 1, 2, 3)], 70144),
  ),
  "a last cluster stored whole, past the end": buildVma(
    withEntries([...clusters(1, 0, 1), ...clusters(1, 1, 2, FULL)], 70144),
  ),
  "a disk smaller than a block": buildVma(withEntries(clusters(1, 0, 1, 1), 1024)),
  "no device and an empty extent": buildVma({ extents: [{ entries: [] }] }),
  "a configuration with only one of its pointers": buildVma({
    ...DISK,
    spoilHeader: (_, view) => view.setUint32(2048, 1),
  }),
  "garbage in reserved fields": buildVma({ ...DISK, spoilHeader: (header) => header.fill(7, 60, 2044) }),
  "garbage in the unused byte of an entry": spoiledExtent((header) => header[42] = 9),
  "saved memory in order, as long as it likes": buildVma({
    devices: [{ name: "vmstate", size: 65536 }, { name: "drive-scsi0", size: 65536 }],
    extents: [{ entries: [...clusters(1, 0, 3, FULL), ...clusters(2, 0, 1)] }],
  }),
  "saved memory that is shorter than announced": buildVma({
    devices: [{ name: "vmstate", size: 10 * 65536 }],
    extents: [{ entries: clusters(1, 0, 3) }],
  }),
};

for (const [what, archive] of Object.entries(ACCEPTED)) {
  Deno.test(`walkVma() accepts ${what}`, () => {
    assert.equal(damageOf(walkVma, archive)?.message, undefined);
  });
}

/** Each archive that `vma extract` refuses, and where and why we do. */
const REFUSED: Record<string, [Uint8Array<ArrayBuffer>, string]> = {
  "an empty stream": [
    new Uint8Array(0),
    "Archive is cut: it ends at byte 0, 12288 bytes before the end of the VMA header",
  ],
  "a header without names": [
    inHeader(56, 12288),
    "Archive is damaged at byte 56: the header claims a size of 12288 bytes",
  ],
  "a header of impossible size": [
    inHeader(56, 0xfffffe00),
    "Archive is damaged at byte 56: the header claims a size of 4294966784 bytes",
  ],
  "another version": [
    inHeader(4, 2),
    "Archive is damaged at byte 4: VMA version 2 is not known: damaged, or newer than what restores it",
  ],
  "names inside the fixed header": [
    inHeader(48, 12287),
    "Archive is damaged at byte 48: the names start at byte 12287, inside the fixed header",
  ],
  "names behind the header": [
    inHeader(52, 600),
    "Archive is damaged at byte 52: the names end at byte 12888, behind the header",
  ],
  "a configuration that points nowhere": [
    inHeader(2044, 3),
    "Archive is damaged at byte 2044: configuration 0 points nowhere",
  ],
  "a device whose name points nowhere": [
    inHeader(4096 + 32, 3),
    "Archive is damaged at byte 12840: an extent names the unknown device 1",
  ],
  "a device of size 0": [
    buildVma(withEntries(clusters(1, 0, 1), 0)),
    "Archive is damaged at byte 12840: an extent names the unknown device 1",
  ],
  "a device larger than cluster numbers reach": [
    buildVma(withEntries([], 2n ** 63n)),
    'Archive is damaged at byte 4136: device "drive-scsi0" claims 9223372036854775808 bytes',
  ],
  "two devices of one name": [
    buildVma({ devices: [{ name: "a", size: 65536 }, { name: "a", size: 65536 }] }),
    'Archive is damaged at byte 4160: two devices are named "a"',
  ],
  "an extent of another archive": [
    spoiledExtent((header) => header.fill(1, 8, 24)),
    "Archive is damaged at byte 12808: the extent belongs to another archive",
  ],
  "an extent without its magic": [
    spoiledExtent((header) => header[3] = 0),
    "Archive is damaged at byte 12800: the extent header has no extent magic",
  ],
  "an extent with its reserved field set": [
    spoiledExtent((header) => header[5] = 1),
    "Archive is damaged at byte 12800: the extent header has no extent magic",
  ],
  "a cluster twice in one extent": [
    buildVma(withEntries([...clusters(1, 0, 4), ...clusters(1, 2, 3)])),
    'Archive is damaged at byte 12872: cluster 2 of device "drive-scsi0" comes twice',
  ],
  "a cluster twice in two extents": [
    buildVma({ ...DISK, extents: [{ entries: clusters(1, 0, 4) }, { entries: clusters(1, 0, 1) }] }),
    'Archive is damaged at byte 13352: cluster 0 of device "drive-scsi0" comes twice',
  ],
  "an unknown device": [
    buildVma(withEntries(clusters(9, 0, 1))),
    "Archive is damaged at byte 12840: an extent names the unknown device 9",
  ],
  "a cluster just beyond the end": [
    buildVma(withEntries([...clusters(1, 0, 4), ...clusters(1, 4, 5, FULL)])),
    'Archive is damaged at byte 12872: cluster 4 of device "drive-scsi0" reaches past its end at 262144 bytes',
  ],
  "a cluster far beyond the end": [
    buildVma(withEntries(clusters(1, 0xffffffff, 0x100000000))),
    'Archive is damaged at byte 12840: cluster 4294967295 of device "drive-scsi0" reaches past its end at 262144 bytes',
  ],
  "a block beyond the end of the last cluster": [
    buildVma(withEntries([...clusters(1, 0, 1), ...clusters(1, 1, 2, 7)], 70144)),
    'Archive is damaged at byte 12848: cluster 1 of device "drive-scsi0" reaches past its end at 70144 bytes',
  ],
  "too few announced blocks": [
    buildVma({ ...DISK, extents: [{ entries: clusters(1, 0, 4, 3), blockCount: 7 }] }),
    "Archive is damaged at byte 12806: the extent announces 7 blocks, its entries 8",
  ],
  "too many announced blocks": [
    buildVma({ ...DISK, extents: [{ entries: clusters(1, 0, 4, 3), blockCount: 9 }] }),
    "Archive is damaged at byte 12806: the extent announces 9 blocks, its entries 8",
  ],
  "a missing cluster": [
    buildVma({ ...DISK, extents: [{ entries: [...clusters(1, 0, 2), ...clusters(1, 3, 4)] }] }),
    'Archive is cut: it ends at byte 13312, and 1 of 4 clusters of device "drive-scsi0" are missing, the first is 2',
  ],
  "a device one cluster larger than its data": [
    buildVma(withEntries(clusters(1, 0, 4), 4 * 65536 + 1024)),
    'Archive is cut: it ends at byte 13312, and 1 of 5 clusters of device "drive-scsi0" are missing, the first is 4',
  ],
  "no extent at all": [
    buildVma({ devices: [{ name: "drive-scsi0", size: 2 * 65536 }] }),
    'Archive is cut: it ends at byte 12800, and 2 of 2 clusters of device "drive-scsi0" are missing, the first is 0',
  ],
  "100 bytes behind the last extent": [
    joinBytes(buildVma(DISK), new Uint8Array(100)),
    "Archive is cut: it ends at byte 13412, inside the extent header at byte 13312",
  ],
  "a cut inside an extent's data": [
    buildVma(withEntries(clusters(1, 0, 4, FULL))).slice(0, 13312 + 5000),
    "Archive is cut: it ends at byte 18312, 257144 bytes before the end of the extent at byte 12800",
  ],
  "saved memory out of order": [
    buildVma({ devices: [{ name: "vmstate", size: 65536 }], extents: [{ entries: clusters(1, 1, 2) }] }),
    'Archive is damaged at byte 12840: cluster 1 of device "vmstate" is out of order',
  ],
};

for (const [what, [archive, message]] of Object.entries(REFUSED)) {
  Deno.test(`walkVma() refuses ${what}`, () => {
    for (const chunkSize of [1, 511, 1 << 20]) {
      assert.equal(damageOf(walkVma, archive, chunkSize)?.message, message);
    }
  });
}

Deno.test("walkVma() refuses a header whose checksum is wrong, and takes the same one signed", () => {
  const archive = buildVma(DISK);
  archive[3000] = 1;
  assert.match(damageOf(walkVma, archive)?.message ?? "", /the header does not match its checksum$/);
  sign(archive.subarray(0, 12800), 32);
  assert.equal(damageOf(walkVma, archive), undefined);
});

Deno.test("walkVma() shows names from the archive in messages only as printable ASCII", () => {
  const name = `../evil\n"\u001b[31m${"x".repeat(200)}`;
  const archive = buildVma({ devices: [{ name, size: 65536 }] });
  assert.match(
    damageOf(walkVma, archive)?.message ?? "",
    /of device "\.\.\/evil\?\?\?\[31mx{50}" are missing/,
  );
});

Deno.test("walkVma() reads 254 devices and as many configurations as a header holds", () => {
  const devices = Array.from({ length: 254 }, (_, index) => ({ name: `d${index}`, size: 65536 }));
  const configs = Array.from({ length: 256 }, (_, index) => ({ name: `c${index}`, data: `${index}` }));
  const entries = devices.map((_, index) => ({ device: index + 1, cluster: 0, mask: 0 }));
  const extents = Array.from(
    { length: 5 },
    (_, index) => ({ entries: entries.slice(index * 59, index * 59 + 59) }),
  );
  const contents = walked(walkVma, buildVma({ devices, configs, extents }));
  assert.equal(contents.devices.length, 254);
  assert.equal(contents.configs.length, 256);
});

Deno.test("walkVma() takes an archive whose disks are 64 TiB without taking memory for them", () => {
  const size = 64 * 2 ** 40;
  const far = size / 65536 - 1;
  const before = Deno.memoryUsage().external;
  const archive = buildVma({
    devices: Array.from({ length: 200 }, (_, index) => ({ name: `d${index}`, size })),
    extents: [{ entries: [...clusters(1, 0, 1), ...clusters(200, far, far + 1)] }],
  });
  assert.match(
    damageOf(walkVma, archive)?.message ?? "",
    /1073741823 of 1073741824 clusters of device "d0" are missing, the first is 1$/,
  );
  assert.ok(Deno.memoryUsage().external - before < 16 * 2 ** 20);
});

Deno.test("walkVma() ends a forged archive that scatters clusters to make it take memory", () => {
  const devices = Array.from({ length: 60 }, (_, index) => ({ name: `d${index}`, size: 2 ** 48 }));
  const head = buildVma({ devices });
  const stream: Uint8Array[] = [];
  // One cluster in each 2 GiB of each device.
  for (let page = 0; page < 600; page++) {
    const entries = devices.slice(0, 59).map((_, index) => ({
      device: index + 1,
      cluster: page * 32768,
      mask: 0,
    }));
    stream.push(buildExtent({ entries }));
  }
  const damage = damageOf(walkVma, joinBytes(head, ...stream));
  assert.match(damage?.message ?? "", /the clusters are scattered too widely to be followed$/);
});
