import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Decoder } from "../../../src/archive/contents.ts";
import type { ArchiveRecord } from "../../../src/core/snapshot.ts";
import type { ListedArchive, ListedSnapshot } from "../../../src/store/snapshot_reader.ts";
import { missingArchives, verifyArchive } from "../../../src/store/verify.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { TestSource, type TestSourceOptions } from "../core/test_source.ts";
import { aManifest, aManifestGuest, aRecord, aReport, STARTED, VM_ARCHIVE } from "./documents.ts";

const VMA = buildVma({
  configs: [{ name: "qemu-server.conf", data: "name: web\n#qmdump#map:scsi0:drive-scsi0:fast:raw:\n" }],
  devices: [{ name: "drive-scsi0", size: 65536 }],
  extents: [{ entries: [{ device: 1, cluster: 0, mask: 0xffff }] }],
});
const RECORD = aRecord({
  bytes: VMA.byteLength,
  sha256: createHash("sha256").update(VMA).digest("hex"),
  disks: [{ key: "scsi0", size: 65536, storage: "fast" }],
});

interface Case {
  bytes?: Uint8Array;
  source?: TestSourceOptions;
  record?: Partial<ArchiveRecord> | null;
  archive?: Partial<ListedArchive>;
  snapshot?: Partial<ListedSnapshot> | null;
}

const noDecoder = (): Promise<Decoder> => Promise.reject(new Error("the test has no decoder"));

/** What verifyArchive has against an archive of a snapshot, with the source it read. */
async function verified(given: Case = {}): Promise<{ wrong: string[]; source: TestSource }> {
  const bytes = given.bytes ?? VMA;
  const record = given.record === null ? undefined : { ...RECORD, ...given.record };
  const archive: ListedArchive = {
    name: VM_ARCHIVE,
    path: `/store/${VM_ARCHIVE}`,
    kind: "qemu",
    vmid: 101,
    bytes: bytes.byteLength,
    ...(record ? { record } : {}),
    ...given.archive,
  };
  const snapshot: ListedSnapshot | undefined = given.snapshot === null ? undefined : {
    id: "s",
    path: "/store",
    started: STARTED,
    state: "complete",
    damage: [],
    manifest: aManifest(),
    archives: [archive],
    ...given.snapshot,
  };
  const source = new TestSource(bytes, given.source);
  return {
    wrong: await verifyArchive(archive, snapshot, {
      open: () => Promise.resolve(source),
      decoder: noDecoder,
    }),
    source,
  };
}

async function assertWrong(given: Case, ...patterns: RegExp[]): Promise<void> {
  const { wrong } = await verified(given);
  assert.equal(wrong.length, patterns.length, wrong.join("; "));
  for (const [index, pattern] of patterns.entries()) assert.match(wrong[index] ?? "", pattern);
}

Deno.test("verifyArchive() finds nothing wrong with a whole archive", async () => {
  assert.deepEqual((await verified()).wrong, []);
  assert.deepEqual((await verified({ source: { chunk: 1, transfers: true } })).wrong, []);
});

Deno.test("verifyArchive() finds nothing wrong with a plain archive that nobody recorded", async () => {
  assert.deepEqual((await verified({ record: null, snapshot: null })).wrong, []);
  assert.deepEqual((await verified({ record: null })).wrong, []);
});

Deno.test("verifyArchive() finds a wrong size, sha256, and set of disks", async () => {
  await assertWrong({ record: { bytes: 7 } }, /^it has \d+ bytes, 7 were recorded$/);
  await assertWrong(
    { record: { sha256: "b".repeat(64) } },
    /^its sha256 is [0-9a-f]{64}, b{64} was recorded$/,
  );
  const disks = [{ key: "scsi0", size: 65536 }, { key: "scsi1", size: 1 }];
  await assertWrong(
    { record: { disks } },
    /^it holds scsi0 \(65536 bytes\), but scsi0 \(65536 bytes\), scsi1 \(1 bytes\) was recorded$/,
  );
  await assertWrong({ record: { disks: [] } }, /but no disk was recorded$/);
});

Deno.test("verifyArchive() finds a disk of another size than was recorded", () =>
  assertWrong({ record: { disks: [{ key: "scsi0", size: 131072 }] } }, /scsi0/));

Deno.test("verifyArchive() finds all that is wrong at once", () =>
  assertWrong(
    {
      record: { bytes: 7, sha256: "b".repeat(64), disks: [] },
      snapshot: { manifest: aManifest({ guests: [] }) },
    },
    /bytes/,
    /sha256/,
    /no disk/,
    /^the manifest does not name its guest$/,
  ));

Deno.test("verifyArchive() finds a flipped bit in disk data by the sha256 alone", async () => {
  const bytes = VMA.slice();
  bytes[bytes.byteLength - 100]! ^= 1;
  await assertWrong({ bytes }, /^its sha256 is/);
  await assertWrong({ bytes, record: null });
});

Deno.test("verifyArchive() finds a record of another archive", async () => {
  await assertWrong({ record: { kind: "lxc" } }, /^its record is of CT 101$/);
  await assertWrong({ record: { vmid: 999 } }, /^its record is of VM 999$/);
});

Deno.test("verifyArchive() finds damage, and frees the source", async () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /empty/],
    [VMA.subarray(0, -1), /./],
    [VMA.subarray(0, 12800), /./],
    [new Uint8Array(VMA.byteLength), /nothing that vzdump writes/],
  ];
  for (const [bytes, said] of cases) {
    const { wrong, source } = await verified({ bytes });
    assert.equal(wrong.length, 1);
    assert.match(wrong[0] ?? "", said);
    assert.equal(source.cancels.length, 1);
  }
});

Deno.test("verifyArchive() finds another compression or kind than was recorded", async () => {
  await assertWrong({ record: { compression: "zstd" } }, /compression "none" where "zstd" is expected/);
  await assertWrong({ archive: { kind: "lxc" }, record: { kind: "lxc" } }, /vma where tar is expected/);
});

Deno.test("verifyArchive() tells a file that cannot be read to its end", () =>
  assertWrong({ source: { failAt: 100, error: new Error("Input/output error") } }, /^Input\/output error$/));

Deno.test("verifyArchive() finds a guest that the manifest does not name, or as another kind", async () => {
  await assertWrong(
    { snapshot: { manifest: aManifest({ guests: [] }) } },
    /^the manifest does not name its guest$/,
  );
  const other = aManifest({ guests: [aManifestGuest({ kind: "lxc" })] });
  await assertWrong({ snapshot: { manifest: other } }, /^the manifest says its guest is lxc$/);
});

Deno.test("missingArchives() names what the report tells of and is not there", () => {
  const report = aReport();
  const failed = { ...report.guests[0]!, outcome: "failed" as const };
  delete failed.archive;
  const snapshot: ListedSnapshot = {
    id: "s",
    path: "/s",
    started: STARTED,
    state: "complete",
    damage: [],
    report: aReport({ guests: [...report.guests, failed] }),
    archives: [],
  };
  assert.deepEqual(missingArchives(snapshot), [VM_ARCHIVE]);
  const there = { name: VM_ARCHIVE, path: "/s", kind: "qemu" as const, bytes: 1 };
  assert.deepEqual(missingArchives({ ...snapshot, archives: [there] }), []);
  const { report: _, ...unreported } = snapshot;
  assert.deepEqual(missingArchives(unreported), []);
});
