import assert from "node:assert/strict";
import { parseSnapshotName, PART, RECORD, snapshotName } from "../../../src/store/layout.ts";
import { parseArchiveName } from "../../../src/archive/names.ts";
import { RUN_ID, VM_ARCHIVE } from "./documents.ts";

Deno.test("snapshotName() and parseSnapshotName() are each other's inverse", () => {
  const started = new Date("2026-11-23T16:05:19.999Z");
  const name = snapshotName(started, RUN_ID);
  assert.equal(name, "2026-11-23T16-05-19Z-01234567");
  assert.equal(parseSnapshotName(name)?.toISOString(), "2026-11-23T16:05:19.000Z");
});

Deno.test("parseSnapshotName() refuses every other name", () => {
  const names = [
    "",
    ".",
    "..",
    "2026-11-23T16-05-19Z",
    "2026-11-23T16-05-19Z-",
    "2026-13-23T16-05-19Z-01234567",
    "2026-11-23T25-05-19Z-01234567",
    "2026-11-23T16:05:19Z-01234567",
    "2026-11-23T16-05-19Z-01234567.part",
    "2026-11-23T16-05-19Z-01234567\n",
    "x2026-11-23T16-05-19Z-01234567",
    "2026-11-23T16-05-19Z-../../etc",
    VM_ARCHIVE,
  ];
  for (const name of names) assert.equal(parseSnapshotName(name), undefined, JSON.stringify(name));
});

Deno.test("what stands beside an archive is no archive to Proxmox", () => {
  for (const suffix of [PART, RECORD, RECORD + PART]) {
    assert.equal(parseArchiveName(VM_ARCHIVE + suffix), null);
  }
});
