import assert from "node:assert/strict";
import {
  commandFailed,
  commandStopped,
  lastWords,
  STATUS_UNKNOWN,
} from "../../../src/runner/command_error.ts";

const cases: [what: string, log: string, words: string][] = [
  ["nothing", "", ""],
  ["the last line", "zstd: one\nzstd: two\n\n", "zstd: two"],
  [
    "the last ERROR line before the summing up",
    "ERROR: first\nERROR: Backup of VM 101 failed - no space\nINFO: Failed at 12:00\njob errors\n",
    "ERROR: Backup of VM 101 failed - no space",
  ],
  [
    "the parameter of a refusal",
    "400 Parameter verification failed.\nvmid: type check ('integer') failed - got 'abc'\nvzdump {<vmid>} [OPTIONS]\n",
    "400 Parameter verification failed. vmid: type check ('integer') failed - got 'abc'",
  ],
  [
    "the unknown option",
    "Unknown option: bogus\n400 unable to parse option\nqm status <vmid> [OPTIONS]\n",
    "Unknown option: bogus",
  ],
  ["a refusal of one line", "400 not enough arguments\nusage\n", "400 not enough arguments"],
  ["no control characters", "ERROR: \x1b[31mred\x07 text\n", "ERROR: [31mred text"],
];
for (const [what, log, words] of cases) {
  Deno.test(`lastWords() finds ${what}`, () => {
    assert.equal(lastWords(log).replaceAll(/ +/g, " "), words);
  });
}

Deno.test("commandFailed() names tool, status, signal and words", () => {
  const end = (status: number, logTail = "") => ({ status, logTail });
  assert.equal(
    commandFailed(["/usr/bin/vzdump", "101"], end(255, "job errors")).message,
    'Cannot complete "vzdump": exit status 255: job errors',
  );
  assert.equal(commandFailed(["qm"], end(137)).message, 'Cannot complete "qm": exit status 137 (SIGKILL)');
});

Deno.test("commandStopped() says why, and when the command still runs", () => {
  const end = { status: STATUS_UNKNOWN, logTail: "" };
  const error = commandStopped(["vzdump"], end, new Error("no reader for 10 min"));
  assert.equal(error.message, 'Stopped "vzdump": no reader for 10 min; it is still running');
  assert.equal(error.reason, "stopped");
});
