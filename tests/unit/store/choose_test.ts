import assert from "node:assert/strict";
import { UserError } from "../../../src/core/errors.ts";
import { chooseArchives, findSnapshot, isWanted, type Wanted } from "../../../src/store/choose.ts";
import type { ListedArchive, ListedSnapshot, StoreListing } from "../../../src/store/snapshot_reader.ts";

const DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"] as const;

function archive(vmid: number | undefined, day: string, given: Partial<ListedArchive> = {}): ListedArchive {
  const name = `vzdump-qemu-${vmid ?? "x"}-${day}.vma`;
  return {
    name,
    path: `/store/${day}/${name}`,
    kind: "qemu",
    bytes: 1,
    taken: new Date(`${day}T12:00:00Z`),
    ...(vmid === undefined ? {} : { vmid }),
    ...given,
  };
}

function snapshot(day: string, vmids: number[], given: Partial<ListedSnapshot> = {}): ListedSnapshot {
  const id = `${day}T12-00-00Z-01234567`;
  return {
    id,
    path: `/store/${id}`,
    started: new Date(`${day}T12:00:00Z`),
    state: "complete",
    damage: [],
    archives: vmids.map((vmid) => archive(vmid, day, { snapshot: id })),
    ...given,
  };
}

/** Newest first, as `readStore` lists them. */
function listing(snapshots: ListedSnapshot[], plain: ListedArchive[] = []): StoreListing {
  return { path: "/store", snapshots: snapshots.toReversed(), plain };
}

const STORE = listing([
  snapshot(DAYS[0], [101, 102]),
  snapshot(DAYS[1], [102, 105]),
  snapshot(DAYS[2], [105]),
]);

const listed = (...vmids: number[]) => ({ vmids: { listed: vmids, ranges: [] } });
const chosen = (from: StoreListing, wanted: Wanted) =>
  chooseArchives(from, wanted).map((entry) => [entry.vmid, entry.taken?.toISOString().slice(0, 10)]);

function refusal(from: StoreListing, wanted: Wanted): string {
  try {
    chooseArchives(from, wanted);
  } catch (error) {
    assert.ok(error instanceof UserError && error.kind === "usage");
    return error.sentence;
  }
  return assert.fail("something was chosen");
}

Deno.test("chooseArchives() takes each guest's newest archive, wherever it is, by vmid", () => {
  assert.deepEqual(chosen(STORE, {}), [[101, DAYS[0]], [102, DAYS[1]], [105, DAYS[2]]]);
  assert.deepEqual(chosen(STORE, listed(105, 101)), [[101, DAYS[0]], [105, DAYS[2]]]);
});

Deno.test("chooseArchives() takes of a range what is there", () => {
  const range = (first: number, last: number) => ({ vmids: { listed: [], ranges: [{ first, last }] } });
  assert.deepEqual(chosen(STORE, range(102, 200)), [[102, DAYS[1]], [105, DAYS[2]]]);
  assert.match(
    refusal(STORE, range(200, 300)),
    /^Cannot restore from "\/store": it holds no archive of the guests asked for; see /,
  );
});

Deno.test("chooseArchives() refuses a listed guest that is missing, and says which are there", () => {
  assert.equal(
    refusal(STORE, listed(101, 998, 999)),
    'Cannot restore 998, 999: "/store" holds no archive of it; it holds 101, 102, 105',
  );
});

Deno.test("chooseArchives() takes the archives of one snapshot only, where it is named", () => {
  assert.deepEqual(chosen(STORE, { snapshot: DAYS[0] }), [[101, DAYS[0]], [102, DAYS[0]]]);
  assert.deepEqual(chosen(STORE, { snapshot: "latest" }), [[105, DAYS[2]]]);
  assert.match(
    refusal(STORE, { snapshot: "latest", ...listed(101) }),
    /^Cannot restore 101: .* it holds 105$/,
  );
  const withPlain = listing(STORE.snapshots.toReversed(), [archive(105, "2026-09-09")]);
  assert.deepEqual(chosen(withPlain, { snapshot: "latest" }), [[105, DAYS[2]]]);
});

Deno.test("chooseArchives() weighs plain archives by their age like all others", () => {
  const plain = [archive(101, "2025-01-01"), archive(105, "2026-09-09"), archive(200, "2020-01-01")];
  const store = listing(STORE.snapshots.toReversed(), plain);
  assert.deepEqual(chosen(store, {}), [[101, DAYS[0]], [102, DAYS[1]], [105, "2026-09-09"], [
    200,
    "2020-01-01",
  ]]);
});

Deno.test("chooseArchives() takes the newer snapshot's archive of two with the same time", () => {
  const same = { taken: new Date(0) };
  const store = listing([
    snapshot(DAYS[0], [], { archives: [archive(101, DAYS[0], same)] }),
    snapshot(DAYS[1], [], { archives: [archive(101, DAYS[1], same)] }),
  ]);
  assert.equal(chooseArchives(store, {})[0]?.path, `/store/${DAYS[1]}/vzdump-qemu-101-${DAYS[1]}.vma`);
});

Deno.test("chooseArchives() takes archives of an incomplete run", () => {
  const store = listing([snapshot(DAYS[0], [101]), snapshot(DAYS[1], [101], { state: "incomplete" })]);
  assert.deepEqual(chosen(store, {}), [[101, DAYS[1]]]);
});

Deno.test("chooseArchives() refuses a damaged snapshot where its archive is wanted, and only there", () => {
  const damaged = snapshot(DAYS[2], [105], { state: "damaged", damage: ["report.json: is no JSON"] });
  const store = listing([snapshot(DAYS[0], [101, 105]), damaged]);
  assert.deepEqual(chosen(store, listed(101)), [[101, DAYS[0]]]);
  assert.match(
    refusal(store, listed(105)),
    /^Cannot use snapshot "2026-01-03.*": report.json: is no JSON; name another snapshot with --snapshot, or the archive itself with --from "\/store\/.*\.vma"$/,
  );
  assert.deepEqual(chosen(store, { ...listed(105), snapshot: DAYS[0] }), [[105, DAYS[0]]]);
});

Deno.test("chooseArchives() keeps every archive that tells no vmid, but for nobody in particular", () => {
  const custom = (name: string) => archive(undefined, DAYS[0], { name, path: `/store/${name}` });
  const store = listing([], [custom("a.vma"), custom("b.vma"), archive(101, DAYS[0])]);
  assert.deepEqual(chooseArchives(store, {}).map((entry) => entry.vmid), [undefined, undefined, 101]);
  assert.deepEqual(chosen(store, listed(101)), [[101, DAYS[0]]]);
  assert.match(
    refusal(listing([], [custom("a.vma")]), listed(101)),
    /; it holds no archive that tells its vmid$/,
  );
});

Deno.test("findSnapshot() takes an unambiguous beginning, and latest", () => {
  const idOf = (id: string) => findSnapshot(STORE, id).id;
  assert.equal(idOf("2026-01-02"), `${DAYS[1]}T12-00-00Z-01234567`);
  assert.equal(idOf(`${DAYS[0]}T12-00-00Z-01234567`), `${DAYS[0]}T12-00-00Z-01234567`);
  assert.equal(idOf("latest"), `${DAYS[2]}T12-00-00Z-01234567`);
  assert.throws(() => idOf("2026"), /^UserError: Cannot find snapshot "2026" in "\/store": several match/);
  assert.throws(() => idOf("2027"), /: there is none/);
  assert.throws(() => idOf(""), /: several match/);
  assert.throws(() => findSnapshot(listing([]), "latest"), /: there is none/);
});

Deno.test("isWanted() knows lists and ranges", () => {
  const vmids = { listed: [101], ranges: [{ first: 105, last: 110 }] };
  const wanted = (vmid: number | undefined) => isWanted(archive(vmid, DAYS[0]), { vmids });
  assert.deepEqual([101, 104, 105, 110, 111, undefined].map(wanted), [true, false, true, true, false, false]);
  assert.equal(isWanted(archive(undefined, DAYS[0]), {}), true);
});
