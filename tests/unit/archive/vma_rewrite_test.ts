import assert from "node:assert/strict";
import { ArchiveDamage } from "../../../src/archive/contents.ts";
import { decodeText } from "../../../src/archive/guest_config.ts";
import { withStorages } from "../../../src/archive/map_storages.ts";
import { type VmaContents, walkVma } from "../../../src/archive/vma.ts";
import { type ConfigChange, VmaRewrite } from "../../../src/archive/vma_rewrite.ts";
import { chunksOf, golden, seededRandom, walked } from "./helpers.ts";
import { buildVma, clusters, joinBytes, sign, type VmaSpec } from "./vma_bytes.ts";

const GOLDEN = ["one-disk", "two-disks", "several-extents", "firewall", "diskless"];
const FIXED_BYTES = 12288;

/** `bytes` with changed configurations. */
function rewritten(
  bytes: Uint8Array<ArrayBuffer>,
  change: ConfigChange,
  chunkSize: number | (() => number) = 65536,
): Uint8Array<ArrayBuffer> {
  const rewrite = new VmaRewrite(change);
  const pieces: Uint8Array[] = [];
  for (const chunk of chunksOf(bytes, chunkSize)) pieces.push(...rewrite.push(chunk));
  rewrite.end();
  return joinBytes(...pieces);
}

const headerSize = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(56);
const extentsOf = (bytes: Uint8Array) => bytes.subarray(headerSize(bytes));
const sameConfig: ConfigChange = ({ data }) => data;

/** Adds `count` bytes to the configuration of the VM. */
const growBy = (count: number): ConfigChange => ({ name, data }) =>
  name === "qemu-server.conf" ? joinBytes(data, new Uint8Array(count).fill(0x23)) : data;

function configsOf({ configs }: VmaContents): Record<string, string> {
  return Object.fromEntries(configs.map(({ name, data }) => [name, decodeText(data)]));
}

for (const name of GOLDEN) {
  Deno.test(`VmaRewrite leaves the real archive ${name} as it is where nothing changes`, async () => {
    const bytes = await golden(name);
    assert.deepEqual(rewritten(bytes, sameConfig), bytes);
  });

  Deno.test(`VmaRewrite gives the real archive ${name} other storages and keeps every byte of its disks`, async () => {
    const bytes = await golden(name);
    const map = { others: "a-storage-with-a-much-longer-name", disks: { scsi0: "other" } };
    const changed = rewritten(
      bytes,
      ({ name, data }) => name === "qemu-server.conf" ? withStorages(data, map) : data,
    );
    const before = walked(walkVma, bytes);
    const after = walked(walkVma, changed);
    assert.deepEqual(after.devices, before.devices);
    assert.deepEqual(extentsOf(changed), extentsOf(bytes));
    const { "qemu-server.conf": oldConfig = "", ...oldOthers } = configsOf(before);
    const { "qemu-server.conf": newConfig = "", ...newOthers } = configsOf(after);
    assert.deepEqual(newOthers, oldOthers);
    const expected = oldConfig.replaceAll(
      /^(#qmdump#map:(\w+):[^:]+:)[^:]*/gm,
      (_, start, disk) => start + (disk === "scsi0" ? map.disks.scsi0 : map.others),
    );
    assert.equal(newConfig, expected);
    // uuid and time of the backup stay, and so does everything else that is neither size, pointer nor checksum.
    assert.deepEqual(changed.subarray(0, 32), bytes.subarray(0, 32));
  });

  Deno.test(`VmaRewrite can be undone on the real archive ${name}`, async () => {
    const bytes = await golden(name);
    const shrink: ConfigChange = ({ name, data }) =>
      name === "qemu-server.conf" ? data.subarray(0, data.length - 40) : data;
    assert.deepEqual(rewritten(rewritten(bytes, growBy(40)), shrink), bytes);
  });
}

const SPEC: VmaSpec = {
  configs: [
    { name: "qemu-server.conf", data: "memory: 512\n" },
    { name: "qemu-server.fw", data: "[OPTIONS]\nenable: 1\n" },
  ],
  devices: [{ name: "drive-scsi0", size: 59 * 65536 }, { name: "drive-efidisk0", size: 65536 }],
  extents: [{ entries: clusters(1, 0, 59, 0x8001) }, { entries: clusters(2, 0, 1, 0xffff) }],
};
const VMA = buildVma(SPEC);

Deno.test("VmaRewrite grows the header only when a configuration does not fit, by whole sectors", () => {
  const used = new DataView(VMA.buffer).getUint32(52);
  const room = headerSize(VMA) - FIXED_BYTES - used;
  const cases = [[0, 0], [1, 0], [room, 0], [room + 1, 512], [room + 512, 512], [room + 513, 1024], [
    60_000,
    Math.ceil((60_000 - room) / 512) * 512,
  ]] as const;
  for (const [count, growth] of cases) {
    const changed = rewritten(VMA, growBy(count));
    assert.equal(headerSize(changed), headerSize(VMA) + growth, `${count} bytes more`);
    assert.equal(changed.length, VMA.length + growth);
    const after = walked(walkVma, changed);
    assert.equal(after.configs[0]?.data.length, 12 + count);
    assert.deepEqual(after.configs[1], walked(walkVma, VMA).configs[1]);
    assert.deepEqual(extentsOf(changed), extentsOf(VMA));
  }
});

Deno.test("VmaRewrite takes a configuration of 65535 bytes and none larger", () => {
  const largest = 65535 - 12;
  assert.equal(walked(walkVma, rewritten(VMA, growBy(largest))).configs[0]?.data.length, 65535);
  assert.throws(() => rewritten(VMA, growBy(largest + 1)), {
    name: "UserError",
    message: /"qemu-server.conf" would have 65536 bytes, VMA takes 65535$/,
  });
});

Deno.test("VmaRewrite shrinks a configuration to nothing and leaves the header's size", () => {
  const changed = rewritten(VMA, () => new Uint8Array(0));
  assert.equal(changed.length, VMA.length);
  assert.deepEqual(walked(walkVma, changed).configs.map(({ data }) => data.length), [0, 0]);
});

Deno.test("VmaRewrite gives the same bytes however the archive arrives", () => {
  const bytes = VMA.slice(0, headerSize(VMA) + 3000);
  const expected = rewritten(bytes, growBy(700), bytes.length);
  const random = seededRandom(1);
  for (const size of [1, 7, 511, 512, 12288, 12289, headerSize(VMA), headerSize(VMA) + 1]) {
    assert.deepEqual(rewritten(bytes, growBy(700), size), expected, `chunks of ${size}`);
  }
  assert.deepEqual(rewritten(bytes, growBy(700), () => 1 + random(5000)), expected);
});

Deno.test("VmaRewrite hands the bytes of extents on without a copy", () => {
  const rewrite = new VmaRewrite(sameConfig);
  const pieces = rewrite.push(VMA);
  assert.deepEqual(pieces.map(({ length }) => length), [headerSize(VMA), VMA.length - headerSize(VMA)]);
  assert.equal(pieces[1]?.buffer, VMA.buffer);
  const chunk = new Uint8Array(9);
  assert.equal(rewrite.push(chunk)[0], chunk);
});

Deno.test("VmaRewrite tells of every cut inside the header, and lets nothing of it out", () => {
  for (let end = 0; end < headerSize(VMA); end += end < 64 || end > FIXED_BYTES - 4 ? 1 : 61) {
    const rewrite = new VmaRewrite(sameConfig);
    assert.deepEqual(rewrite.push(VMA.subarray(0, end)), []);
    assert.throws(() => rewrite.end(), ArchiveDamage, `cut at ${end}`);
  }
});

Deno.test("VmaRewrite passes a cut among the extents on: the walk tells of it", () => {
  for (const end of [headerSize(VMA), headerSize(VMA) + 1, VMA.length - 1]) {
    const changed = rewritten(VMA.slice(0, end), growBy(700));
    assert.equal(changed.length, end + headerSize(changed) - headerSize(VMA));
    assert.throws(() => walked(walkVma, changed), ArchiveDamage);
  }
});

Deno.test("VmaRewrite refuses what is no header", () => {
  const flipped = VMA.slice();
  flipped[2100]! ^= 1;
  const spoiled = (spoilHeader: VmaSpec["spoilHeader"] & object) => buildVma({ ...SPEC, spoilHeader });
  const cases = [
    flipped,
    spoiled((_, view) => view.setUint32(4, 2)),
    spoiled((_, view) => view.setUint32(48, FIXED_BYTES - 1)),
    spoiled((_, view) => view.setUint32(52, 600)),
    spoiled((_, view) => view.setUint32(3068, 3)),
    new Uint8Array(20_000),
    new Uint8Array(20_000).fill(0xff),
  ];
  for (const bytes of cases) assert.throws(() => rewritten(bytes, sameConfig), ArchiveDamage);
});

Deno.test("VmaRewrite leaves out what no reader finds: pointers without a blob, half a pair", () => {
  const bytes = buildVma({
    ...SPEC,
    spoilHeader: (_, view) => {
      view.setUint32(2044 + 4 * 7, 1); // a name without data
      view.setUint32(4096 + 32 * 9, 2); // a device whose name is nowhere
      view.setBigUint64(4096 + 32 * 9 + 8, 65536n);
    },
  });
  const before = walked(walkVma, bytes);
  const changed = rewritten(bytes, growBy(700));
  const after = walked(walkVma, changed);
  assert.deepEqual(after.devices, before.devices);
  assert.equal(after.configs.length, 2);
});

Deno.test("VmaRewrite keeps what stands between the fixed header and the blobs", () => {
  const gap = new Uint8Array(512).fill(0x77);
  const bytes = joinBytes(VMA.subarray(0, FIXED_BYTES), gap, VMA.subarray(FIXED_BYTES));
  const size = headerSize(VMA) + gap.length;
  const view = new DataView(bytes.buffer);
  view.setUint32(48, FIXED_BYTES + gap.length);
  view.setUint32(56, size);
  sign(bytes.subarray(0, size), 32);
  assert.deepEqual(rewritten(bytes, sameConfig), bytes);
  const changed = rewritten(bytes, growBy(700));
  assert.deepEqual(changed.subarray(FIXED_BYTES, FIXED_BYTES + gap.length), gap);
  assert.equal(walked(walkVma, changed).configs[0]?.data.length, 712);
});
