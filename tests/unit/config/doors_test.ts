import assert from "node:assert/strict";
import {
  didYouMean,
  type Door,
  environmentDoor,
  fileDoor,
  flagDoor,
  readOptions,
} from "../../../src/config/doors.ts";
import type { Side } from "../../../src/config/options.ts";
import { UserError } from "../../../src/core/errors.ts";

/** The sentence that a call is refused with. */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof UserError, `not a UserError: ${error}`);
    assert.equal(error.kind, "usage");
    return error.sentence;
  }
  return assert.fail("it was taken");
}

const refused = (side: Side, ...doors: Door[]): string => refusal(() => readOptions(side, doors));
const environment = (name: string, value = "x") => environmentDoor({ [`PLAKAR_PROXMOX_${name}`]: value });
const file = (document: Record<string, unknown>) => fileDoor("/etc/x.toml", "backup", document);

Deno.test("readOptions() fills in the table's defaults and leaves the rest unset", () => {
  const options = readOptions("backup", []);
  assert.equal(options.backup_mode, "snapshot");
  assert.equal(options.backup_compression, "zstd");
  assert.equal(options.lockwait, 180);
  assert.equal(options.stall_timeout, 600);
  assert.equal(options.templates, true);
  assert.equal(options.dump_dir, "/var/lib/vz/dump");
  assert.equal(options.vmid, undefined);
  assert.equal(options.bwlimit, undefined);
});

Deno.test("readOptions() refuses nothing among its own defaults", () => {
  for (const side of ["guests", "backup", "restore", "store"] as const) readOptions(side, []);
});

Deno.test("readOptions() lets flags win over environment over file over default", () => {
  const doors = [
    flagDoor({ backup_mode: "stop" }),
    environmentDoor({ PLAKAR_PROXMOX_BACKUP_MODE: "suspend", PLAKAR_PROXMOX_LOCKWAIT: "2" }),
    fileDoor("/x", "backup", { backup_mode: "snapshot", lockwait: 3, ionice: 4 }),
  ];
  const options = readOptions("backup", doors, { ionice: "5", zstd_threads: "6" });
  assert.equal(options.backup_mode, "stop");
  assert.equal(options.lockwait, 2);
  assert.equal(options.ionice, 4);
  assert.equal(options.zstd_threads, 6);
});

Deno.test("readOptions() lets the command's own table of the file win over its top-level keys", () => {
  const document = { lockwait: 3, backup: { pool: "own", lockwait: 4 }, restore: { pool: "other" } };
  const options = readOptions("backup", [fileDoor("/x", "backup", document)]);
  assert.deepEqual(options.pool, ["own"]);
  assert.equal(options.lockwait, 4);
  assert.match(refusal(() => fileDoor("/x", "backup", { backups: {} })), /"backups" in "\/x"/);
});

Deno.test("readOptions() prefers the face's default to the table's", () => {
  assert.equal(readOptions("backup", [], { backup_compression: "0" }).backup_compression, "0");
});

Deno.test("readOptions() names a bad value's option as its door writes it", () => {
  const must = "must be one of snapshot, suspend, stop";
  assert.equal(
    refused("backup", flagDoor({ backup_mode: "x" })),
    `Cannot use "x" for --backup-mode: ${must}`,
  );
  assert.equal(
    refused("backup", environment("BACKUP_MODE")),
    `Cannot use "x" for PLAKAR_PROXMOX_BACKUP_MODE: ${must}`,
  );
  assert.equal(
    refused("backup", file({ backup_mode: "x" })),
    `Cannot use "x" for "backup_mode" in "/etc/x.toml": ${must}`,
  );
});

Deno.test("readOptions() shows a bad value on one line", () => {
  const sentence = refused("backup", flagDoor({ pool: "a\nb\x1b[2J" }));
  assert.equal(sentence, 'Cannot use "a\\nb\\u001b[2J" for --pool: must not hold control characters');
});

Deno.test("readOptions() asks did you mean for an unknown key, as its door writes it", () => {
  assert.match(
    refused("backup", flagDoor({ backup_mod: "x" })),
    /^Unknown option --backup-mod; did you mean --backup-mode\?$/,
  );
  assert.match(
    refused("backup", environment("BACKUP_MOD")),
    /^Unknown option PLAKAR_PROXMOX_BACKUP_MOD; did you mean PLAKAR_PROXMOX_BACKUP_MODE\?$/,
  );
  assert.match(
    refused("backup", file({ compresion: "x", backup_compresion: "0" })),
    /^Unknown option "compresion" in "\/etc\/x.toml"; see "--help"/,
  );
  assert.match(refused("backup", file({ backup_compresion: "0" })), /did you mean "backup_compression" in/);
  assert.match(refused("backup", flagDoor({ quux: "x" })), /^Unknown option --quux; see "--help"/);
});

Deno.test("readOptions() takes no name of JavaScript's own for an option", () => {
  for (const key of ["constructor", "to_string", "toString", "__proto__", "hasOwnProperty"]) {
    assert.match(refused("backup", flagDoor(Object.fromEntries([[key, "x"]]))), /^Unknown option/, key);
  }
  for (const key of ["constructor", "valueOf", "__proto__"]) {
    assert.match(refused("backup", file(Object.fromEntries([[key, "x"]]))), /^Unknown option/, key);
  }
  assert.match(refused("backup", environment("CONSTRUCTOR")), /^Unknown option PLAKAR_PROXMOX_CONSTRUCTOR/);
});

Deno.test("readOptions() tells where a flag of the other side belongs", () => {
  assert.equal(
    refused("backup", flagDoor({ newid: "101" })),
    "Cannot use --newid here: it belongs to restore",
  );
  assert.equal(
    refused("restore", flagDoor({ lockwait: "1" })),
    "Cannot use --lockwait here: it belongs to backup",
  );
  assert.equal(
    refused("restore", flagDoor({ tag: "x" })),
    "Cannot use --tag here: it belongs to guests and backup",
  );
});

Deno.test("readOptions() lets environment and file hold the other side's keys", () => {
  const doors = [environment("NEWID", "101"), file({ if_exists: "replace", storage: "fast" })];
  assert.equal(readOptions("backup", doors).backup_mode, "snapshot");
  assert.equal(readOptions("restore", [file({ lockwait: 5, if_exists: "replace" })]).if_exists, "replace");
});

Deno.test("readOptions() tells of a mistake in any door, also where a better one has the value", () => {
  assert.match(
    refused("backup", flagDoor({ all: "true" }), file({ bakup_mode: "stop" })),
    /^Unknown option "bakup_mode"/,
  );
});

Deno.test("environmentDoor() takes our variables only, and not the config file's", () => {
  const door = environmentDoor({
    PATH: "/bin",
    PLAKAR_PROXMOX: "x",
    PLAKAR_PROXMOX_CONFIG: "/etc/x.toml",
    PLAKAR_PROXMOX_DUMP_DIR: "/srv",
    plakar_proxmox_pool: "x",
  });
  assert.deepEqual(door.values, { dump_dir: "/srv" });
});

Deno.test("fileDoor() reads numbers, switches and lists", () => {
  const document = { vmid: [101, "105-110"], all: false, lockwait: 5, exclude: ["web*", 103], bwlimit: 10n };
  const options = readOptions("backup", [file(document)]);
  assert.deepEqual(options.vmid, { listed: [101], ranges: [{ first: 105, last: 110 }] });
  assert.equal(options.all, false);
  assert.equal(options.lockwait, 5);
  assert.equal(options.bwlimit, 10);
  assert.deepEqual(options.exclude, ["web*", "103"]);
});

Deno.test("fileDoor() refuses tables, dates and lists of lists", () => {
  for (const value of [{ a: 1 }, new Date(0), [["a"]], null]) {
    assert.equal(
      refusal(() => file({ pool: value })),
      'Cannot use "pool" in "/etc/x.toml": must be a text, a number or a list of them',
    );
  }
});

Deno.test("fileDoor() lets no empty list pass for nothing", () => {
  assert.match(refused("backup", file({ pool: [] })), /for "pool" in .*: must not be empty$/);
  assert.match(refused("backup", file({ lockwait: 1.5 })), /^Cannot use "1.5" for "lockwait"/);
});

Deno.test("didYouMean() is silent where nothing is near", () => {
  assert.equal(didYouMean("bakup", ["backup", "restore"]), "backup");
  assert.equal(didYouMean("inspect", ["backup", "restore"]), undefined);
  assert.equal(didYouMean("x", []), undefined);
});
