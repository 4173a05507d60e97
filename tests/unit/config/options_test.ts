import assert from "node:assert/strict";
import { flagDoor, readOptions } from "../../../src/config/doors.ts";
import { OPTION_GROUPS, OPTIONS, type OptionSpec, type Side } from "../../../src/config/options.ts";

const SIDES = Object.keys(OPTIONS) as Side[];

/** Whether one text is taken for an option. */
function takes(side: Side, key: string, value: string): boolean {
  try {
    readOptions(side, [flagDoor({ [key]: value })]);
    return true;
  } catch {
    return false;
  }
}

Deno.test("OPTIONS has each option of each group exactly once", () => {
  for (const side of SIDES) {
    const grouped = Object.values(OPTION_GROUPS[side]).flatMap((group) => Object.keys(group));
    assert.deepEqual(grouped.sort(), Object.keys(OPTIONS[side]).sort());
    assert.equal(new Set(grouped).size, grouped.length, `${side} has an option twice`);
  }
});

Deno.test("OPTIONS describes every option in a clause", () => {
  for (const side of SIDES) {
    for (const [key, spec] of Object.entries(OPTIONS[side]) as [string, OptionSpec][]) {
      assert.match(key, /^[a-z]+(_[a-z]+)*$/);
      assert.match(spec.text, /^\S.*[^.\s]$/, `${side} ${key}`);
      assert.notEqual(spec.kind.placeholder, "", `${side} ${key}`);
    }
  }
});

Deno.test("OPTIONS takes storage, node and pool names as Proxmox does", () => {
  const good = { storage: ["local", "local-lvm", "a.b_c1", "ab"], pool: ["p", "a/b/c", "A.b_c-1"] };
  const bad = {
    storage: ["a", "1ab", "ab-", "a/b", "../a", "a b", "ab\n", "--x", ""],
    pool: ["", "a/b/c/d", "/a", "a//b", "a b", "a/", "a\n"],
  };
  for (const [key, values] of Object.entries(good)) {
    for (const value of values) assert.ok(takes("restore", key, value), `${key} ${value}`);
  }
  for (const [key, values] of Object.entries(bad)) {
    for (const value of values) assert.ok(!takes("restore", key, value), `${key} ${JSON.stringify(value)}`);
  }
  assert.ok(takes("backup", "node", "pve-1"));
  for (const name of ["-pve", "pve-", "pve.1", "a/b", "pve1\n"]) {
    assert.ok(!takes("backup", "node", name), name);
  }
});

Deno.test("OPTIONS refuses a storage for fleecing that could smuggle in other settings", () => {
  assert.ok(takes("backup", "fleecing", "fast"));
  assert.ok(!takes("backup", "fleecing", "fast,enabled=0"));
});
