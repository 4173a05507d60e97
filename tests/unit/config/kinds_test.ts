import assert from "node:assert/strict";
import {
  absolutePath,
  flag,
  integer,
  list,
  newVmid,
  oneOf,
  text,
  type ValueKind,
  vmids,
} from "../../../src/config/kinds.ts";

/** The value of a text, or why it is refused. */
function read<T>(kind: ValueKind<T>, input: string): T | { refused: string } {
  const result = kind.schema.safeParse(input);
  if (result.success) return result.data;
  assert.equal(result.error.issues.length, 1, "one reason is enough");
  return { refused: result.error.issues[0]?.message ?? "" };
}

/** Checks that each text is refused, with a reason that says `must`. */
function refuses(kind: ValueKind<unknown>, texts: readonly string[], must: RegExp): void {
  for (const input of texts) {
    const result = kind.schema.safeParse(input);
    assert.equal(result.success, false, `${JSON.stringify(input)} was taken`);
    assert.equal(result.error?.issues.length, 1);
    assert.match(result.error?.issues[0]?.message ?? "", must, JSON.stringify(input));
  }
}

Deno.test("flag() reads the spellings that Proxmox reads", () => {
  for (const yes of ["true", "1", "yes", "on", "TRUE", "Yes"]) assert.equal(read(flag(), yes), true);
  for (const no of ["false", "0", "no", "off", "OFF"]) assert.equal(read(flag(), no), false);
});

Deno.test("flag() refuses everything else", () => {
  refuses(flag(), ["", " ", "2", "ja", "true ", "true\n", "null"], /^must be true or false$/);
});

Deno.test("oneOf() takes its words only, as they are written", () => {
  const kind = oneOf("snapshot", "stop");
  assert.equal(read(kind, "stop"), "stop");
  refuses(
    kind,
    ["", "Stop", "stop ", "sto", "snapshot,stop", "constructor"],
    /^must be one of snapshot, stop$/,
  );
});

Deno.test("integer() takes the whole numbers of its range", () => {
  const kind = integer(0, 10_080);
  assert.equal(read(kind, "0"), 0);
  assert.equal(read(kind, "10080"), 10_080);
  assert.equal(read(kind, "007"), 7);
});

Deno.test("integer() refuses signs, fractions, exponents, units and numbers out of range", () => {
  const odd = [
    "",
    " ",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    "10081",
    "9".repeat(15),
    "9".repeat(400),
    "1k",
    "1\n",
    "１",
  ];
  refuses(integer(0, 10_080), odd, /^must be a whole number from 0 to 10080$/);
  refuses(integer(1, 9), ["0"], /^must be a whole number from 1 to 9$/);
});

Deno.test("text() refuses emptiness and control characters", () => {
  assert.equal(read(text("TEXT"), "ü b"), "ü b");
  refuses(text("TEXT"), [""], /^must not be empty$/);
  refuses(
    text("TEXT"),
    ["a\nb", "a\0", "\ta", "a\r", "\x1b[31m", "a\x7f"],
    /^must not hold control characters$/,
  );
});

Deno.test("text() refuses what its pattern does not know, to the last character", () => {
  const kind = text("ID", { is: /^[a-z]+$/, must: "must be an id" });
  assert.equal(read(kind, "abc"), "abc");
  refuses(kind, ["a b", "A", "../etc"], /^must be an id$/);
  refuses(kind, ["abc\n"], /^must not hold control characters$/);
});

Deno.test("list() drops the blanks around items", () => {
  assert.deepEqual(read(list("X"), "a"), ["a"]);
  assert.deepEqual(read(list("X"), " a , b c ,d"), ["a", "b c", "d"]);
});

Deno.test("list() refuses empty items", () => {
  refuses(list("X"), ["a,", ",a", "a,,b", ",", " ", "a, ,b"], /^must not hold an empty item$/);
  refuses(list("X"), [""], /^must not be empty$/);
  refuses(list("X"), ["a,b\n"], /^must not hold control characters$/);
});

Deno.test("absolutePath() drops final slashes, except that of the root", () => {
  assert.equal(read(absolutePath(), "/var/lib/vz/dump/"), "/var/lib/vz/dump");
  assert.equal(read(absolutePath(), "/var//"), "/var");
  assert.equal(read(absolutePath(), "/"), "/");
  assert.equal(read(absolutePath(), "//"), "/");
  assert.equal(read(absolutePath(), "/a..b/..c/d.."), "/a..b/..c/d..");
});

Deno.test("absolutePath() refuses relative paths and those that climb", () => {
  refuses(absolutePath(), ["var", "./var", "~/x", " /var"], /^must be an absolute path$/);
  refuses(absolutePath(), ["/a/../b", "/..", "/../", "/a/.."], /^must not hold "\.\."$/);
  refuses(absolutePath(), [""], /^must not be empty$/);
  refuses(absolutePath(), ["/a\nb"], /^must not hold control characters$/);
});

Deno.test("vmids() reads single ones and ranges", () => {
  assert.deepEqual(read(vmids(), "101"), { listed: [101], ranges: [] });
  assert.deepEqual(read(vmids(), "101, 105-110 ,100 - 100,999999999"), {
    listed: [101, 999_999_999],
    ranges: [{ first: 105, last: 110 }, { first: 100, last: 100 }],
  });
  assert.deepEqual(read(vmids(), "101,102,101"), { listed: [101, 102], ranges: [] });
});

Deno.test("vmids() refuses what Proxmox knows no guest by", () => {
  const bad = ["", "99", "0101", "1000000000", "9".repeat(40), "-101", "101-", "110-105", "101-102-103"];
  refuses(vmids(), bad, /^must list vmids such as 101,105-110 \(100 to 999999999\); ".*" is none$/);
  refuses(
    vmids(),
    ["101,", ",101", "101;102", "101 102", "abc", "1e3", "101,../102", "next", "101\n102"],
    /is none$/,
  );
});

Deno.test("vmids() names the part that is wrong", () => {
  assert.match((read(vmids(), "101,99,102") as { refused: string }).refused, /; "99" is none$/);
});

Deno.test("newVmid() takes a vmid or next", () => {
  assert.equal(read(newVmid(), "next"), "next");
  assert.equal(read(newVmid(), "100"), 100);
  assert.equal(read(newVmid(), "999999999"), 999_999_999);
  refuses(
    newVmid(),
    ["", "Next", "99", "0100", "1000000000", "101,102", "101-102", " 101"],
    /^must be "next" or a vmid/,
  );
});
