import assert from "node:assert/strict";
import { parseArguments } from "./args.ts";
import type { ToolError } from "./context.ts";
import { SimNode } from "./mod.ts";
import { run } from "./test_tools.ts";

/** What the parser made of a command line: its parameters. */
function parsed(command: string, line: string, release = "8.4"): Record<string, string> {
  return Object.fromEntries(parseArguments(command, words(line), release).values);
}

const words = (line: string) =>
  line.split(" ").filter((word) => word !== "").map((word) => word === "''" ? "" : word);

Deno.test("the parser takes values behind a space or an equals sign, and abbreviations", () => {
  assert.deepEqual(parsed("vzdump", "101 102 --mode=stop --compress zstd --stdo 1"), {
    vmid: "101,102",
    mode: "stop",
    compress: "zstd",
    stdout: "1",
  });
  assert.deepEqual(parsed("qm shutdown", "101 --FORCESTOP yes --timeout 5"), {
    vmid: "101",
    forceStop: "1",
    timeout: "5",
  });
  assert.deepEqual(parsed("vzdump", "101 --mailto '' --quiet --remove no"), {
    vmid: "101",
    mailto: "",
    quiet: "1",
    remove: "0",
  });
});

const REFUSED: [string, string, RegExp, string?][] = [
  ["vzdump", "--stdout 101", /^400 unable to parse boolean option\n/],
  ["qmrestore", "--force - 101", /^400 not enough arguments\n|^400 unable to parse boolean option\n/],
  ["qmrestore", "x 101 102", /^400 too many arguments\n/],
  ["vzdump", "101 --bogus 1", /^Unknown option: bogus\n400 unable to parse option\nvzdump /],
  ["vzdump", "101 --std 1", /^Option std is ambiguous \(stdexcludes, stdout\)\n400 unable to parse option\n/],
  ["vzdump", "101 --mode", /^Option mode requires an argument\n400 unable to parse option\n/],
  [
    "vzdump",
    "abc",
    /^400 Parameter verification failed\.\nvmid: invalid format - value does not look like a valid VM ID\n/,
  ],
  ["vzdump", "101 -- --stdout 1", /^400 Parameter verification failed\.\nvmid: invalid format/],
  [
    "qm status",
    "abc",
    /^400 Parameter verification failed\.\nvmid: type check \('integer'\) failed - got 'abc'\n/,
  ],
  ["qm status", "99", /\nvmid: invalid format - value does not look like a valid VM ID\n/],
  ["qm status", "0101", /\nvmid: invalid format - value does not look like a valid VM ID\n/],
  ["qm status", "1234567890", /\nvmid: invalid format - value does not look like a valid VM ID\n/],
  [
    "vzdump",
    "101 --compress xz",
    /\ncompress: value 'xz' does not have a value in the enumeration '0, 1, gzip, lzo, zstd'\n/,
  ],
  ["vzdump", "101 --ionice 9", /\nionice: value must have a maximum value of 8\n/],
  ["vzdump", "101 --lockwait -1", /\nlockwait: value must have a minimum value of 0\n/],
  ["vzdump", "101 --storage x", /\nstorage: invalid format - storage ID 'x' contains illegal characters\n/],
  [
    "vzdump",
    "101 --prune-backups keep-some=1",
    /\nprune-backups: invalid format - format error\nkeep-some=1: /,
  ],
  ["vzdump", "101 --protected 1", /\nstorage: missing property - 'protected' requires this property\n/],
  ["vzdump", "101 --protected 1", /\nstorage: missing property required by 'protected'\n/, "9.0"],
  ["vzdump", "101 --notification-policy never", /^Unknown option: notification-policy\n/, "7.4"],
  ["vzdump", "101 --notification-policy never", /^Unknown option: notification-policy\n/, "9.0"],
  ["vzdump", "101 --notification-mode legacy-sendmail", /^Unknown option: notification-mode\n/, "8.0"],
  ["vzdump", "101 --fleecing enabled=1,storage=fast", /^Unknown option: fleecing\n/, "8.1"],
  [
    "vzdump",
    "101 --fleecing enabled=1",
    /\nfleecing: invalid format - format error\nstorage: missing property\n/,
  ],
  ["vzdump", "101 --protected 1 --storage local", /^Unknown option: protected\n/, "7.1"],
  ["qmrestore", "x 101 --start 1", /^Unknown option: start\n/, "9.0"],
  ["pct restore", "101 x --ha-managed 1", /^Unknown option: ha-managed\n/, "8.4"],
  ["qmrestore", "x 101 --vmid 102", /^Unknown option: vmid\n/],
];

for (const [command, line, text, release = "8.4"] of REFUSED) {
  Deno.test(`${command} ${line} is refused on ${release}`, () => {
    assert.throws(
      () => parsed(command, line, release),
      (error: ToolError) => error.status === 255 && text.test(error.message + "\n"),
    );
  });
}

Deno.test("each release takes what its real parser takes", () => {
  assert.equal(parsed("vzdump", "101 --notification-policy never", "8.0")["notification-policy"], "never");
  assert.equal(
    parsed("vzdump", "101 --notification-mode legacy-sendmail", "8.1")["notification-mode"],
    "legacy-sendmail",
  );
  assert.equal(parsed("vzdump", "101 --maxfiles 3", "9.2").maxfiles, "3");
  assert.equal(parsed("qmrestore", "x 101 --start 1", "9.1").start, "1");
  assert.equal(parsed("qm disk move", "101 scsi0 local-lvm", "7.3").disk, "scsi0");
  assert.throws(() => parsed("qm disk move", "101 scsi0 local-lvm", "7.2"));
  assert.equal(parsed("qm move_disk", "101 scsi0 local-lvm", "7.0").disk, "scsi0");
});

Deno.test("a refused call ends with 255, nothing on stdout and the reasons on stderr", async () => {
  await using node = await SimNode.create();
  for (
    const [tool, args] of [["vzdump", ["--stdout", "101"]], ["qmrestore", ["--force", "-", "101"]], ["qm", [
      "bogus",
    ]], ["qm", []]] as const
  ) {
    const { code, stdout, stderr } = await run(node, tool, args);
    assert.equal(code, 255);
    assert.equal(stdout, "");
    assert.notEqual(stderr, "");
  }
});
