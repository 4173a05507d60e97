import assert from "node:assert/strict";
import { ageText, clockText, notHeldText, tableLines } from "../../../src/cli/table.ts";
import { sizeText } from "../../../src/core/units.ts";

Deno.test("tableLines() lines columns up, two blanks apart", () => {
  assert.deepEqual(tableLines(["VMID", "NAME", "KIND"], [["101", "web", "qemu"], ["100005", "", "lxc"]]), [
    "VMID    NAME  KIND",
    "101     web   qemu",
    "100005        lxc",
  ]);
});

Deno.test("tableLines() shows the head alone where there are no rows", () => {
  assert.deepEqual(tableLines(["VMID", "NAME"], []), ["VMID  NAME"]);
});

Deno.test("tableLines() lines up behind wide characters", () => {
  const [, first, second] = tableLines(["NAME", "X"], [["日本", "1"], ["abcd", "2"]]);
  assert.deepEqual([first, second], ["日本  1", "abcd  2"]);
});

Deno.test("tableLines() keeps a row on its line, whatever its cells hold", () => {
  for (const cell of ["web\n999  evil", "web\r\n999", "a\x1b[2Jb", "\u202eevil"]) {
    const lines = tableLines(["NAME", "X"], [[cell, "1"], ["plain", "2"]]);
    assert.equal(lines.length, 3, JSON.stringify(cell));
    assert.ok(lines.every((line) => !/[\p{Cc}\p{Bidi_Control}]/u.test(line)));
    const places = lines.map((line) => line.search(/\S+$/));
    assert.equal(new Set(places).size, 1, lines.join("\n"));
  }
});

Deno.test("sizeText() counts in powers of 1024", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 3 * 1024 ** 3].map(sizeText), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "3 GiB",
  ]);
});

Deno.test("ageText() names the largest unit that tells enough", () => {
  const minute = 60_000;
  const ages = [
    -90 * minute,
    -5 * minute,
    -0.9 * minute,
    0,
    59.9 * minute,
    60 * minute,
    47.9 * 60 * minute,
    48 * 60 * minute,
    400 * 24 * 60 * minute,
  ];
  assert.deepEqual(ages.map(ageText), [
    "in 1 h",
    "in 5 min",
    "0 min",
    "0 min",
    "59 min",
    "1 h",
    "47 h",
    "2 d",
    "400 d",
  ]);
});

Deno.test("clockText() writes hours only where there are some", () => {
  assert.deepEqual([0, 42.9, 60, 3599, 3600, 3909, 360_000].map(clockText), [
    "0:00",
    "0:42",
    "1:00",
    "59:59",
    "1:00:00",
    "1:05:09",
    "100:00:00",
  ]);
  assert.equal(clockText(-3), "0:00", "a clock that was set back meanwhile");
});

Deno.test("notHeldText() names what is not held once", () => {
  const disk = { key: "scsi1", what: 'disk "fast:vm-101-disk-1", 9 MiB', reason: "backup=0 is set" };
  assert.equal(notHeldText(disk), 'scsi1, disk "fast:vm-101-disk-1", 9 MiB (backup=0 is set)');
  const snapshot = { key: "old", what: 'snapshot "old"', reason: "snapshots are never in a backup" };
  assert.equal(notHeldText(snapshot), 'snapshot "old" (snapshots are never in a backup)');
});
