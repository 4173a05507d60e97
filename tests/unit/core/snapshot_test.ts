import assert from "node:assert/strict";
import { guestLabel } from "../../../src/core/guest.ts";
import { archiveRecordSchema, manifestSchema, reportSchema } from "../../../src/core/snapshot.ts";
import { aManifest, aRecord, aReport } from "../store/documents.ts";

Deno.test("the schemas take back what was written as JSON", () => {
  const again = (document: unknown) => JSON.parse(JSON.stringify(document));
  assert.deepEqual(manifestSchema.parse(again(aManifest())), aManifest());
  assert.deepEqual(reportSchema.parse(again(aReport())), aReport());
  assert.deepEqual(archiveRecordSchema.parse(again(aRecord())), aRecord());
});

Deno.test("the schemas refuse a form of another version", () => {
  assert.equal(manifestSchema.safeParse({ ...aManifest(), version: 2 }).success, false);
  assert.equal(reportSchema.safeParse({ ...aReport(), version: 0 }).success, false);
});

Deno.test("archiveRecordSchema refuses a sha256 that is none", () => {
  for (const sha256 of ["", "ab", "A".repeat(64), `${"a".repeat(64)}\n`, "g".repeat(64)]) {
    assert.equal(archiveRecordSchema.safeParse({ ...aRecord(), sha256 }).success, false, sha256);
  }
});

Deno.test("guestLabel() names guests as Proxmox does", () => {
  assert.equal(guestLabel({ vmid: 101, kind: "qemu" }), "VM 101");
  assert.equal(guestLabel({ vmid: 105, kind: "lxc" }), "CT 105");
});
