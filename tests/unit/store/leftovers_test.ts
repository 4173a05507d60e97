import assert from "node:assert/strict";
import { findPartFiles, removePart, unfinishedDumps } from "../../../src/store/leftovers.ts";
import type { ListedSnapshot } from "../../../src/store/snapshot_reader.ts";
import { SnapshotWriter } from "../../../src/store/snapshot_writer.ts";
import { aManifest, aManifestGuest, aReport, CT_ARCHIVE, RUN_ID, STARTED, VM_ARCHIVE } from "./documents.ts";
import { namesIn, withTempDir } from "./temp_dir.ts";

const NAME = "2026-01-31T12-00-00Z-01234567";
const NOW = new Date();

/** A snapshot as a killed run leaves it. */
async function leave(store: string, files: string[], name = NAME): Promise<string> {
  const path = `${store}/${name}`;
  await Deno.mkdir(path);
  for (const file of files) await Deno.writeTextFile(`${path}/${file}`, "bytes");
  return path;
}

Deno.test("findPartFiles() finds what dead runs left, and removePart() removes nothing else", async () => {
  await withTempDir(async (store) => {
    const path = await leave(store, [
      "run.lock",
      "manifest.json",
      `${VM_ARCHIVE}.part`,
      `${VM_ARCHIVE}.json`,
      CT_ARCHIVE,
      `${CT_ARCHIVE}.json`,
      `${CT_ARCHIVE}.json.part`,
      "notes.part",
    ]);
    await Deno.writeTextFile(`${store}/${VM_ARCHIVE}.part`, "the user's");
    const { parts, busy } = await findPartFiles(`${store}/`, NOW);
    const names = [`${CT_ARCHIVE}.json.part`, `${VM_ARCHIVE}.part`, `${VM_ARCHIVE}.json`];
    assert.deepEqual(parts, names.map((name) => ({ path: `${path}/${name}`, bytes: 5 })));
    assert.deepEqual(busy, []);
    for (const part of parts) await removePart(part);
    assert.deepEqual(
      await namesIn(path),
      ["run.lock", "manifest.json", CT_ARCHIVE, `${CT_ARCHIVE}.json`, "notes.part"].sort(),
    );
    assert.deepEqual(await namesIn(store), [NAME, `${VM_ARCHIVE}.part`]);
    assert.deepEqual(await findPartFiles(store, NOW), { parts: [], busy: [] });
  });
});

Deno.test("findPartFiles() leaves the snapshot of a run that lives, and removePart() refuses it", async () => {
  await withTempDir(async (store) => {
    const writer = await SnapshotWriter.create(store, STARTED, RUN_ID);
    await writer.begin(aManifest());
    const part = `${writer.path}/${VM_ARCHIVE}.part`;
    await Deno.writeTextFile(part, "bytes");
    const found = await findPartFiles(store, NOW);
    assert.deepEqual(found, { parts: [], busy: [{ path: writer.path, reason: "its run is at work" }] });
    await assert.rejects(removePart({ path: part, bytes: 5 }), /Cannot remove ".*": its run is at work/);
    await writer.close();
    assert.deepEqual((await findPartFiles(store, NOW)).parts, [{ path: part, bytes: 5 }]);
  });
});

Deno.test("findPartFiles() leaves a snapshot without a manifest alone while it is young", async () => {
  await withTempDir(async (store) => {
    const path = await leave(store, ["run.lock", "manifest.json.part"]);
    assert.equal((await findPartFiles(store, NOW)).busy[0]?.reason, "it was made just now");
    const later = new Date(NOW.getTime() + 120_000);
    assert.deepEqual((await findPartFiles(store, later)).parts.map((part) => part.path), [
      `${path}/manifest.json.part`,
    ]);
  });
});

Deno.test("findPartFiles() refuses what is no directory", async () => {
  await assert.rejects(findPartFiles("/none/there", NOW), /^UserError: Cannot read "\/none\/there"/);
});

const snapshot = (given: Partial<ListedSnapshot>): ListedSnapshot => ({
  id: NAME,
  path: `/store/${NAME}`,
  started: STARTED,
  state: "incomplete",
  damage: [],
  archives: [],
  ...given,
});

Deno.test("unfinishedDumps() names the guests that dead runs dumped, with their node and cluster", () => {
  const guests = [101, 102, 103].map((vmid) => aManifestGuest({ vmid }));
  const manifest = aManifest({ guests, cluster: "home" });
  const whole = { vmid: 102, name: "x", kind: "qemu" as const, bytes: 1, path: "/x" };
  const died = unfinishedDumps([snapshot({ manifest, archives: [whole] })]);
  assert.deepEqual(died, [101, 103].map((vmid) => ({ vmid, node: "pve1", cluster: "home" })));
  assert.deepEqual(unfinishedDumps([snapshot({ manifest, state: "running" }), snapshot({})]), []);

  const report = aReport();
  const [guest] = report.guests;
  assert.ok(guest);
  const failed = { ...guest, outcome: "failed" as const };
  const ended = {
    ...report,
    guests: [{ ...failed, vmid: 101, bytes: 9 }, { ...failed, vmid: 102, bytes: 0 }],
  };
  const told = unfinishedDumps([snapshot({ manifest, report: ended, state: "complete" })]);
  assert.deepEqual(told.map(({ vmid }) => vmid), [101], "a dump that never began locked nobody");
});
