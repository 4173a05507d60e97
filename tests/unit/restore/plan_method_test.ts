import assert from "node:assert/strict";
import { planLines } from "../../../src/restore/plan_text.ts";
import { around, CT_CONFIG, GIB, planOf, reasonsOf, standing, wish } from "./surroundings.ts";

const ROOM = { roomy: new Map([["pve1", 2 * GIB]]), short: new Map([["pve1", GIB - 1]]) };
const auto = { method: "auto" } as const;
const stream = { method: "stream", ifExists: "replace-same" } as const;

Deno.test("planRestores() stages unless it is asked for a stream", () => {
  assert.equal(planOf(wish("qemu")).streams, false);
  assert.equal(planOf(wish("qemu"), around(), { method: "staged" }).streams, false);
  assert.equal(planOf(wish("qemu"), around(), { method: "stream" }).streams, true);
});

Deno.test("planRestores() chooses by the staging space, and stages where that is not known", () => {
  const streams = (stagingSpace?: ReadonlyMap<string, number>) =>
    planOf(wish("qemu"), around(stagingSpace ? { stagingSpace } : {}), auto).streams;
  assert.deepEqual([streams(ROOM.roomy), streams(ROOM.short), streams()], [false, true, false]);
  const other = new Map([["pve2", 0]]);
  assert.equal(streams(other), false);
});

Deno.test("planRestores() counts what an archive becomes that is staged without its compression", () => {
  const packed = wish("qemu", { compression: "zstd" });
  const surroundings = around({ stagingSpace: ROOM.roomy });
  const storage = { disks: { scsi0: "pool" } };
  assert.equal(planOf(packed, surroundings, auto).streams, false);
  assert.equal(planOf(packed, surroundings, { ...auto, storage }).streams, true, "8 GiB do not fit into 2");
});

Deno.test("planRestores() never chooses to stream over a guest", () => {
  for (const isIfExistsGiven of [false, true]) {
    const surroundings = around({ standing: [standing("qemu")], stagingSpace: ROOM.short });
    const plan = planOf(wish("qemu"), surroundings, { ...auto, ifExists: "replace", isIfExistsGiven });
    assert.deepEqual([plan.streams, plan.refusals], [false, []]);
  }
});

Deno.test("planRestores() refuses a stream over a guest unless if_exists was asked for", () => {
  const surroundings = around({ standing: [standing("qemu")] });
  const refused = planOf(wish("qemu"), surroundings, stream);
  assert.match(reasonsOf(refused).join(), /destroys the guest that stands there before the archive/);
  assert.equal(refused.refusals[0]?.hint?.startsWith("pass --if-exists replace-same as well"), true);
  const plan = planOf(wish("qemu"), surroundings, { ...stream, isIfExistsGiven: true });
  assert.deepEqual([plan.streams, plan.refusals], [true, []]);
  assert.match(planLines([plan]).join("\n"), /STREAMED: what stands there is destroyed before/);
});

Deno.test("planRestores() gives a streamed container its volumes and says that it is unprivileged", () => {
  const config = {
    ...CT_CONFIG,
    unprivileged: "1",
    mp0: "pool:vm-105-disk-1,mp=/data,backup=1,size=1500M",
    mp1: "/srv,mp=/srv",
  };
  const plan = planOf(wish("lxc", { config }), around(), { method: "stream" });
  assert.deepEqual(plan.volumes, { rootfs: "pool:4", mp0: "pool:2,mp=/data,backup=1" });
  assert.deepEqual(plan.hostMounts, { mp1: "/srv,mp=/srv" });
  assert.deepEqual([plan.unprivileged, plan.storage, plan.refusals], [true, undefined, []]);
  assert.equal(planOf(wish("lxc"), around(), { method: "stream" }).unprivileged, undefined);
});

Deno.test("planRestores() streams no container that would lose something, and stages it where it may choose", () => {
  const losses = [
    [{ template: "1" }, /no template any more/],
    [{ "lxc.idmap": "u 0 100000 65536" }, /lxc\.idmap/],
  ] as const;
  for (const [more, reason] of losses) {
    const one = wish("lxc", { config: { ...CT_CONFIG, ...more } });
    assert.match(reasonsOf(planOf(one, around(), { method: "stream" })).join(), reason);
    const plan = planOf(one, around({ stagingSpace: ROOM.short }), auto);
    assert.deepEqual([plan.streams, plan.refusals], [false, []]);
  }
});

Deno.test("planRestores() refuses to stream a container whose volumes have no size", () => {
  const one = wish("lxc", { config: { ...CT_CONFIG, rootfs: "pool:vm-105-disk-0" } });
  assert.match(
    reasonsOf(planOf(one, around(), { method: "stream" })).join(),
    /how large volume "rootfs" was/,
  );
});
