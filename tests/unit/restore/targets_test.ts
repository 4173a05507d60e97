import assert from "node:assert/strict";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { chooseTargets, freeVmids, targetOf, targetRule } from "../../../src/restore/targets.ts";
import { byPath, standInNode } from "../proxmox/node_stand_in.ts";

const guests = [100, 103].map((vmid) => ({ vmid, type: "qemu", node: "pve1" }));
const node = standInNode({
  run: byPath({ "/cluster/resources": JSON.stringify(guests), "/cluster/nextid": '"101"' }),
});
const archive = (vmid?: number): StoredArchive => ({
  name: "vzdump-qemu-x.vma",
  kind: "qemu",
  bytes: 1,
  ...(vmid === undefined ? {} : { vmid }),
});

Deno.test("chooseTargets() gives each archive its own vmid, one plus a number, or a free one", async () => {
  const two = [archive(101), archive(102)];
  assert.deepEqual(await chooseTargets(node, two, undefined), [101, 102]);
  assert.deepEqual(await chooseTargets(node, two, { offset: 1000 }), [1101, 1102]);
  assert.deepEqual(await chooseTargets(node, two, "next"), [101, 102]);
  assert.deepEqual(await chooseTargets(node, [...two, archive(105)], "next"), [101, 102, 104]);
  assert.deepEqual(await chooseTargets(node, [archive(101)], 300), [300]);
  assert.deepEqual(await chooseTargets(node, [archive()], { offset: 1000 }), [undefined]);
});

Deno.test("chooseTargets() refuses several archives for one vmid, and offers what would do", async () => {
  await assert.rejects(chooseTargets(node, [archive(101), archive(102)], 300), {
    kind: "usage",
    sentence:
      "Cannot restore 2 guests to the one vmid 300; name one guest with --vmid, or pass --newid next or --newid-offset",
  });
});

Deno.test("targetRule() takes newid or newid_offset, not both", () => {
  assert.equal(targetRule({ newid: 300, newid_offset: undefined }), 300);
  assert.equal(targetRule({ newid: undefined, newid_offset: undefined }), undefined);
  assert.deepEqual(targetRule({ newid: undefined, newid_offset: 5 }), { offset: 5 });
  assert.throws(() => targetRule({ newid: "next", newid_offset: 5 }), { kind: "usage" });
});

Deno.test("targetOf() refuses a vmid that Proxmox does not take", () => {
  assert.equal(targetOf(archive(999_999_000), { offset: 999 }), 999_999_999);
  assert.throws(() => targetOf(archive(999_999_000), { offset: 1000 }), { kind: "usage" });
});

Deno.test("freeVmids() leaves out what is spoken for", async () => {
  assert.deepEqual(await freeVmids(node, 2, [101, 104, undefined]), [102, 105]);
});
