import assert from "node:assert/strict";
import {
  explainFailed,
  explainLeftOut,
  type Selected,
  selectGuests,
  type Selection,
} from "../../../src/backup/select.ts";
import { UserError } from "../../../src/core/errors.ts";
import type { Guest } from "../../../src/core/guest.ts";

function guest(vmid: number, given: Partial<Guest> = {}): Guest {
  return { vmid, kind: "qemu", node: "pve1", status: "running", template: false, tags: [], ...given };
}

const INVENTORY: readonly Guest[] = [
  guest(101, { name: "web-1", pool: "prod", tags: ["web", "nightly"] }),
  guest(102, { name: "web-2", pool: "prod/web", tags: ["web"], status: "stopped" }),
  guest(103, { name: "db.example", pool: "production", tags: ["db"] }),
  guest(105, { name: "mail", kind: "lxc", pool: "prod/web/old", status: "paused" }),
  guest(110, { name: "golden", template: true, status: "stopped" }),
  guest(201, { name: "web-9", node: "pve2", pool: "prod", tags: ["web"] }),
  guest(202, { status: "unknown", node: "pve2", pool: "far" }),
  guest(120, { status: "unknown", pool: "prod" }),
];

function select(given: Partial<Selection>, inventory = INVENTORY): Selected {
  return selectGuests(inventory, { templates: true, ...given }, "pve1");
}

const listed = (...vmids: number[]) => ({ vmids: { listed: vmids, ranges: [] } });
const range = (first: number, last: number) => ({ vmids: { listed: [], ranges: [{ first, last }] } });
const ids = (entries: readonly { vmid: number }[]) => entries.map((entry) => entry.vmid);

function refusal(given: Partial<Selection>, inventory = INVENTORY): string {
  try {
    select(given, inventory);
  } catch (error) {
    assert.ok(error instanceof UserError && error.kind === "usage");
    return error.sentence;
  }
  return assert.fail("something was selected");
}

Deno.test("selectGuests() takes listed vmids", () => {
  const selected = select(listed(105, 101));
  assert.deepEqual(ids(selected.guests), [101, 105]);
  assert.deepEqual([selected.failed, selected.leftOut, selected.notes], [[], [], []]);
});

Deno.test("selectGuests() fails a listed vmid that nobody has, and takes the others", () => {
  const selected = select(listed(101, 999));
  assert.deepEqual(ids(selected.guests), [101]);
  assert.deepEqual(selected.failed, [{ vmid: 999, reason: "no guest has this vmid" }]);
});

Deno.test("selectGuests() does not throw where all listed vmids fail: each is told", () => {
  const selected = select(listed(998, 999));
  assert.deepEqual(ids(selected.guests), []);
  assert.deepEqual(ids(selected.failed), [998, 999]);
});

Deno.test("selectGuests() takes of a range what exists, both ends included", () => {
  assert.deepEqual(ids(select(range(101, 103)).guests), [101, 102, 103]);
  assert.deepEqual(ids(select(range(104, 109)).guests), [105]);
  assert.deepEqual(select(range(101, 103)).failed, []);
});

Deno.test("selectGuests() takes a listed guest wherever it lives", () => {
  const selected = select(listed(101, 201));
  assert.deepEqual(ids(selected.guests), [101, 201]);
  assert.deepEqual([selected.failed, selected.leftOut, selected.notes], [[], [], []]);
});

Deno.test("selectGuests() leaves out and names a guest of another node that a range, pool, tag or name finds", () => {
  for (const wish of [range(101, 299), { pools: ["prod"] }, { tags: ["web"] }, { names: ["web-*"] }]) {
    const selected = select(wish);
    const left = selected.leftOut.find(({ vmid }) => vmid === 201);
    assert.match(
      left ? explainLeftOut(left) : "",
      /^VM 201 is left out: it lives on node "pve2", this is "pve1"; pass --node all for the whole cluster$/,
      JSON.stringify(wish),
    );
    assert.ok(!ids(selected.guests).includes(201));
    assert.deepEqual(selected.failed, []);
  }
});

Deno.test("selectGuests() takes guests of every node where node is all", () => {
  for (const wish of [{ all: true }, range(101, 299), { pools: ["prod"] }, { names: ["web-*"] }]) {
    const selected = select({ ...wish, node: "all" });
    assert.ok(ids(selected.guests).includes(101) && ids(selected.guests).includes(201), JSON.stringify(wish));
    assert.deepEqual([selected.failed, selected.leftOut], [[], []]);
  }
  assert.match(
    select({ names: ["*"], node: "all" }).notes.join(),
    /of 202, 120 at present|of 120, 202 at present/,
  );
});

Deno.test("selectGuests() takes all of this node, and says how many others there are", () => {
  const selected = select({ all: true });
  assert.deepEqual(ids(selected.guests).sort(), [101, 102, 103, 105, 110, 120]);
  assert.deepEqual([selected.failed, selected.leftOut], [[], []]);
  assert.match(
    selected.notes.join(),
    /"all" means the guests of this node, "pve1"; 2 guests of other nodes not taken; pass --node all/,
  );
});

Deno.test("selectGuests() says nothing of other nodes where node names this one", () => {
  const selected = select({ all: true, node: "pve1" });
  assert.deepEqual([selected.leftOut, selected.notes], [[], []]);
  assert.equal(selected.guests.length, 6);
});

Deno.test("selectGuests() takes the guests of the node that is named, and narrows out all others", () => {
  const selected = select({ all: true, node: "pve2" });
  assert.deepEqual([ids(selected.guests), selected.leftOut, selected.notes], [[201, 202], [], []]);
  const asked = select({ ...listed(101, 201), node: "pve2" });
  assert.deepEqual([ids(asked.guests), asked.failed, asked.leftOut], [[201], [], []]);
});

Deno.test("selectGuests() takes a pool with the pools nested in it, not those named alike", () => {
  assert.deepEqual(ids(select({ pools: ["prod"] }).guests).sort(), [101, 102, 105, 120]);
  assert.deepEqual(ids(select({ pools: ["prod/web"] }).guests), [102, 105]);
  assert.deepEqual(ids(select({ pools: ["prod/web/old", "production"] }).guests), [103, 105]);
});

Deno.test("selectGuests() takes guests by any of several tags, whole tags only", () => {
  assert.deepEqual(ids(select({ tags: ["db", "nightly"] }).guests), [101, 103]);
  refusal({ tags: ["we"] });
  refusal({ tags: ["*"] });
});

Deno.test("selectGuests() matches names as globs, whole names only", () => {
  assert.deepEqual(ids(select({ names: ["web-?"] }).guests), [101, 102]);
  assert.deepEqual(ids(select({ names: ["mail", "d*e"] }).guests), [103, 105]);
  assert.deepEqual(ids(select({ names: ["db.example"] }).guests), [103]);
  for (const none of ["web", "WEB-1", "dbxexample", "web-1|mail", "[a-z]*", "(mail)", "m+ail", "web-1$"]) {
    refusal({ names: [none] });
  }
});

Deno.test("selectGuests() matches names with characters beyond the basic plane by one ?", () => {
  const inventory = [guest(101, { name: "a\u{1f600}b" }), guest(102, { name: "a\nb" })];
  assert.deepEqual(ids(select({ names: ["a?b"] }, inventory).guests), [101, 102]);
});

Deno.test("selectGuests() takes no guest without a name by *, and says which", () => {
  const selected = select({ names: ["*"] });
  assert.deepEqual(ids(selected.guests), [101, 102, 103, 105, 110]);
  assert.match(
    selected.notes.join(),
    /knows no name, tags and state of 120 at present; select such guests by vmid/,
  );
});

Deno.test("selectGuests() takes a guest of unknown status by vmid, pool and all without a word", () => {
  assert.deepEqual(select(listed(120)).notes, []);
  assert.deepEqual(ids(select(listed(120)).guests), [120]);
  assert.ok(ids(select({ pools: ["prod"] }).guests).includes(120));
});

Deno.test("selectGuests() excludes by vmid, range, name and tag", () => {
  const kept = (...exclude: string[]) => ids(select({ all: true, exclude }).guests).sort();
  assert.deepEqual(kept("101"), [102, 103, 105, 110, 120]);
  assert.deepEqual(kept("101-105"), [110, 120]);
  assert.deepEqual(kept("web-?"), [103, 105, 110, 120]);
  assert.deepEqual(kept("db", "mail"), [101, 102, 110, 120]);
  assert.deepEqual(kept("we"), [101, 102, 103, 105, 110, 120]);
});

Deno.test("selectGuests() lets exclude win over a listed vmid", () => {
  assert.deepEqual(ids(select({ ...listed(101, 102), exclude: ["101"] }).guests), [102]);
  assert.deepEqual(select({ ...listed(101, 102), exclude: ["101"] }).failed, []);
});

Deno.test("selectGuests() narrows by kind, status and templates", () => {
  assert.deepEqual(ids(select({ all: true, kind: "lxc" }).guests), [105]);
  assert.deepEqual(ids(select({ all: true, status: "stopped" }).guests), [102, 110]);
  assert.deepEqual(ids(select({ all: true, status: "running" }).guests), [101, 103]);
  assert.ok(!ids(select({ all: true, templates: false }).guests).includes(110));
  assert.deepEqual(ids(select(listed(110)).guests), [110]);
});

Deno.test("selectGuests() narrows guests of other nodes too", () => {
  assert.deepEqual(ids(select({ pools: ["prod"], kind: "qemu", exclude: ["201"] }).leftOut), []);
});

Deno.test("selectGuests() refuses a selection that nothing matches", () => {
  for (const wish of [range(300, 400), { pools: ["none"] }, { tags: ["none"] }, { names: ["none"] }]) {
    assert.match(
      refusal(wish),
      /^Cannot select guests: no guest matches the selection; see "plakar-proxmox guests --all"/,
    );
  }
  assert.match(refusal({ all: true, exclude: ["*", "100-999"] }), /^Cannot select guests: no guest matches/);
  assert.match(refusal({ all: true }, []), /; the cluster has no guests$/);
  assert.match(
    refusal({ all: true }, [guest(201, { node: "pve2" })]),
    /; the guests that match live on other nodes; pass --node all for the whole cluster$/,
  );
});

Deno.test("explainFailed() and explainLeftOut() name a guest that does not exist by its vmid", () => {
  const entry = { vmid: 999, reason: "no guest has this vmid" };
  assert.equal(explainFailed(entry), "Cannot back up guest 999: no guest has this vmid");
  assert.equal(explainLeftOut(entry), "Guest 999 is left out: no guest has this vmid");
});
