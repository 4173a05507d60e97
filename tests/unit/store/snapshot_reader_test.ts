import assert from "node:assert/strict";
import { UserError } from "../../../src/core/errors.ts";
import { readSnapshot, readStore } from "../../../src/store/snapshot_reader.ts";
import { SnapshotWriter } from "../../../src/store/snapshot_writer.ts";
import { testBytes, TestSource } from "../core/test_source.ts";
import { aManifest, aRecord, aReport, CT_ARCHIVE, RUN_ID, STARTED, VM_ARCHIVE } from "./documents.ts";
import { withTempDir } from "./temp_dir.ts";

const SNAPSHOT = "2026-01-31T12-00-00Z-01234567";

/** Writes a snapshot of plain files: documents as JSON, everything else as text. */
async function makeSnapshot(store: string, files: Record<string, unknown>, name = SNAPSHOT): Promise<string> {
  const path = `${store}/${name}`;
  await Deno.mkdir(path);
  for (const [file, content] of Object.entries(files)) {
    await Deno.writeTextFile(
      `${path}/${file}`,
      typeof content === "string" ? content : JSON.stringify(content),
    );
  }
  return path;
}

const COMPLETE = {
  "manifest.json": aManifest(),
  [VM_ARCHIVE]: "vma",
  [`${VM_ARCHIVE}.json`]: aRecord(),
  "report.json": aReport(),
};

async function refusal(path: string): Promise<string> {
  const error = await readStore(path).then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError && error.kind === "usage", `not a refusal: ${error}`);
  return error.sentence;
}

Deno.test("readStore() reads what SnapshotWriter wrote", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    await writer.begin(aManifest());
    const kept = await writer.store(VM_ARCHIVE, new TestSource(testBytes(100)), (stored) => aRecord(stored));
    await writer.finish(aReport());
    await writer.close();

    const { snapshots, plain } = await readStore(dir);
    assert.deepEqual(plain, []);
    const [snapshot] = snapshots;
    assert.equal(snapshots.length, 1);
    assert.equal(snapshot?.id, SNAPSHOT);
    assert.equal(snapshot?.state, "complete");
    assert.equal(snapshot?.started.getTime(), STARTED.getTime());
    assert.deepEqual([snapshot?.manifest, snapshot?.report], [aManifest(), aReport()]);
    const archive = snapshot?.archives[0];
    assert.deepEqual(
      [archive?.name, archive?.vmid, archive?.kind, archive?.bytes, archive?.sha256, archive?.snapshot],
      [VM_ARCHIVE, 101, "qemu", 100, kept.sha256, SNAPSHOT],
    );
    assert.equal(archive?.path, `${writer.path}/${VM_ARCHIVE}`);
  }));

Deno.test("readStore() sorts snapshots and archives, the newest first", () =>
  withTempDir(async (dir) => {
    const ids = [
      "2025-12-31T23-59-59Z-ffffffff",
      "2026-01-01T00-00-00Z-00000000",
      "2026-11-01T00-00-00Z-0000",
    ];
    const old = "vzdump-qemu-101-2025_01_31-12_00_00.vma";
    for (const id of ids) await makeSnapshot(dir, { ...COMPLETE, [old]: "" }, id);
    const { snapshots } = await readStore(dir);
    assert.deepEqual(snapshots.map((snapshot) => snapshot.id), ids.toReversed());
    assert.deepEqual(snapshots[0]?.archives.map((archive) => archive.name), [VM_ARCHIVE, old]);
  }));

Deno.test("readStore() takes one snapshot's directory, with or without final slashes", () =>
  withTempDir(async (dir) => {
    const path = await makeSnapshot(dir, COMPLETE);
    for (const from of [path, `${path}/`, `${path}//`]) {
      const { snapshots, plain } = await readStore(from);
      assert.deepEqual([snapshots.map((snapshot) => snapshot.id), plain], [[SNAPSHOT], []]);
      assert.equal(snapshots[0]?.archives[0]?.sha256, "a".repeat(64));
    }
  }));

Deno.test("readStore() knows a snapshot by every way of writing its path", () =>
  withTempDir(async (dir) => {
    const path = await makeSnapshot(dir, COMPLETE);
    await Deno.symlink(path, `${dir}/link`);
    for (const from of [`${path}/.`, `${dir}/x/../${SNAPSHOT}`, `${dir}/link`]) {
      await Deno.mkdir(`${dir}/x`, { recursive: true });
      const { snapshots } = await readStore(from);
      assert.deepEqual(snapshots.map((snapshot) => snapshot.id), [SNAPSHOT], from);
    }
  }));

Deno.test("readStore() takes one archive file, standard or not", () =>
  withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/${CT_ARCHIVE}`, "tar");
    await Deno.writeTextFile(`${dir}/vzdump-qemu-old copy.vma`, "vma");
    const { snapshots, plain } = await readStore(`${dir}/${CT_ARCHIVE}`);
    assert.deepEqual(snapshots, []);
    assert.deepEqual([plain[0]?.vmid, plain[0]?.kind, plain[0]?.bytes], [105, "lxc", 3]);
    assert.equal(plain[0]?.path, `${dir}/${CT_ARCHIVE}`);
    assert.equal(plain[0]?.taken?.getFullYear(), 2026);

    const [custom] = (await readStore(`${dir}/vzdump-qemu-old copy.vma`)).plain;
    assert.equal(custom?.vmid, undefined);
    assert.ok(custom?.taken instanceof Date, "the file's own time stands in for the one of the name");
  }));

Deno.test("readStore() lists a plain directory's archives and passes everything else over", () =>
  withTempDir(async (dir) => {
    const odd = ["vzdump-qemu-a b.vma", "vzdump-qemu-103-x.vma.zst", VM_ARCHIVE, CT_ARCHIVE];
    const passed = [
      "vzdump-qemu-101-2026_01_31-12_00_00.log",
      `${VM_ARCHIVE}.notes`,
      `${VM_ARCHIVE}.part`,
      `${VM_ARCHIVE}.json`,
      "vzdump-qemu-101-2026_01_31-12_00_00.vma.dat",
      "vzdump-qemu-a\nb.vma",
      "vzdump-qemu-a..b.vma",
      "vzdump-qemu-\x1b[31m.vma",
      ".vma",
      "VZDUMP-QEMU-101.VMA",
      "disk.vma",
      " ",
      "report.json",
    ];
    for (const name of [...odd, ...passed]) await Deno.writeTextFile(`${dir}/${name}`, "x");
    await Deno.mkdir(`${dir}/vzdump-qemu-104-2026_01_31-12_00_00.vma`);
    await Deno.symlink(`${dir}/none`, `${dir}/vzdump-qemu-105-2026_01_31-12_00_00.vma`);
    const { snapshots, plain } = await readStore(dir);
    assert.deepEqual(snapshots, []);
    assert.deepEqual(plain.map((archive) => archive.name).sort(), odd.sort());
    assert.ok(plain.every((archive) => archive.snapshot === undefined && archive.sha256 === undefined));
  }));

Deno.test("readStore() lists snapshots and plain archives side by side", () =>
  withTempDir(async (dir) => {
    await makeSnapshot(dir, COMPLETE);
    await Deno.writeTextFile(`${dir}/${CT_ARCHIVE}`, "tar");
    const { snapshots, plain } = await readStore(`${dir}/`);
    assert.deepEqual([snapshots.length, plain.map((archive) => archive.path)], [1, [`${dir}/${CT_ARCHIVE}`]]);
  }));

Deno.test("readStore() refuses what is no store", () =>
  withTempDir(async (dir) => {
    assert.match(await refusal(`${dir}/none`), /^Cannot read ".*\/none": /);
    assert.match(
      await refusal(dir),
      /^Cannot use ".*": it holds neither snapshots nor vzdump archives; give /,
    );
    await Deno.writeTextFile(`${dir}/disk.img`, "x");
    assert.match(
      await refusal(`${dir}/disk.img`),
      /^Cannot use ".*": its name is none of a vzdump archive; /,
    );
  }));

Deno.test("readStore() passes over what only looks like a snapshot", () =>
  withTempDir(async (dir) => {
    await makeSnapshot(dir, COMPLETE);
    await Deno.writeTextFile(`${dir}/2026-02-01T12-00-00Z-01234567`, "a file");
    await Deno.symlink(`${dir}/none`, `${dir}/2026-02-02T12-00-00Z-01234567`);
    await Deno.mkdir(`${dir}/2026-02-03T12-00-00Z`);
    const { snapshots } = await readStore(dir);
    assert.deepEqual(snapshots.map((snapshot) => snapshot.id), [SNAPSHOT]);
  }));

Deno.test("readStore() counts the archives of a run that died", () =>
  withTempDir(async (dir) => {
    const { "report.json": _, ...files } = COMPLETE;
    await makeSnapshot(dir, { ...files, "run.lock": "", [`${CT_ARCHIVE}.part`]: "half" });
    const [snapshot] = (await readStore(dir)).snapshots;
    assert.equal(snapshot?.state, "incomplete");
    assert.deepEqual(snapshot?.archives.map((archive) => archive.name), [VM_ARCHIVE]);
    assert.equal(snapshot?.archives[0]?.sha256, "a".repeat(64));
  }));

Deno.test("readStore() tells a run that is under way, from its first moment on", () =>
  withTempDir(async (dir) => {
    const writer = await SnapshotWriter.create(dir, STARTED, RUN_ID);
    const stateNow = async () => {
      const { state, damage } = await readSnapshot(writer.path);
      return [state, damage];
    };
    try {
      assert.deepEqual(await stateNow(), ["running", []]);
      await writer.begin(aManifest());
      await writer.store(VM_ARCHIVE, new TestSource(testBytes(10)), (stored) => aRecord(stored));
      assert.deepEqual(await stateNow(), ["running", []]);
      await writer.finish(aReport());
      assert.deepEqual(await stateNow(), ["complete", []]);
    } finally {
      await writer.close();
    }
  }));

Deno.test("readStore() calls a run that died before its manifest incomplete, not damaged", () =>
  withTempDir(async (dir) => {
    const { state, damage } = await readSnapshot(await makeSnapshot(dir, { "run.lock": "" }));
    assert.deepEqual([state, damage], ["incomplete", []]);
  }));

Deno.test("readStore() tells which document is damaged, and lists the archives all the same", async () => {
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ["no manifest", { "manifest.json": undefined }, /^manifest\.json: /],
    ["empty manifest", { "manifest.json": "" }, /^manifest\.json: is no JSON$/],
    ["cut report", { "report.json": '{"version":1,' }, /^report\.json: is no JSON$/],
    [
      "newer manifest",
      { "manifest.json": aManifest({ version: 2 as 1 }) },
      /^manifest\.json: has an unexpected form at "version"/,
    ],
    ["odd guest", { "manifest.json": { ...aManifest(), guests: [{}] } }, /form at "guests\.0\.vmid"/],
    ["odd report", { "report.json": { ...aReport(), outcome: "fine" } }, /^report\.json: .* at "outcome"/],
    ["null", { "report.json": "null" }, /^report\.json: has an unexpected form at ""/],
    ["odd record", { [`${VM_ARCHIVE}.json`]: { ...aRecord(), sha256: "x" } }, /\.vma\.json: .* at "sha256"/],
  ];
  for (const [what, files, said] of cases) {
    await withTempDir(async (dir) => {
      const all = Object.entries({ ...COMPLETE, ...files }).filter(([, content]) => content !== undefined);
      const { state, damage, archives } = await readSnapshot(
        await makeSnapshot(dir, Object.fromEntries(all)),
      );
      assert.equal(state, "damaged", what);
      assert.equal(damage.length, 1, what);
      assert.match(damage[0] ?? "", said, what);
      assert.ok(!damage[0]?.includes("\n"), what);
      assert.equal(archives.length, 1, what);
    });
  }
});

Deno.test("readStore() reads documents with bytes that are no UTF-8 as damaged or not, but never fails", () =>
  withTempDir(async (dir) => {
    const path = await makeSnapshot(dir, COMPLETE);
    await Deno.writeFile(`${path}/manifest.json`, new Uint8Array([0xff, 0xfe, 0x00]));
    assert.equal((await readStore(dir)).snapshots[0]?.state, "damaged");
  }));

Deno.test("readStore() takes an archive without a record for one without a sha256", () =>
  withTempDir(async (dir) => {
    const { [`${VM_ARCHIVE}.json`]: _, ...files } = COMPLETE;
    const { state, archives } = await readSnapshot(await makeSnapshot(dir, files));
    assert.deepEqual([state, archives[0]?.sha256, archives[0]?.record], ["complete", undefined, undefined]);
  }));

Deno.test("readStore() takes up the record beside an archive that is given alone, and nothing else of its name", () =>
  withTempDir(async (dir) => {
    const snapshot = await makeSnapshot(dir, {
      ...COMPLETE,
      [CT_ARCHIVE]: "tar",
      [`${CT_ARCHIVE}.json`]: "notes",
    });
    const alone = async (name: string) => (await readStore(`${snapshot}/${name}`)).plain[0]?.sha256;
    assert.equal(await alone(VM_ARCHIVE), aRecord().sha256);
    assert.equal(await alone(CT_ARCHIVE), undefined);
    const other = JSON.stringify(aRecord({ name: CT_ARCHIVE }));
    await Deno.writeTextFile(`${snapshot}/${VM_ARCHIVE}.json`, other);
    assert.equal(await alone(VM_ARCHIVE), undefined);
  }));
