import assert from "node:assert/strict";
import { messageOf, UserError } from "../../../src/core/errors.ts";
import { type Argv, CommandError, type Runner } from "../../../src/runner/runner.ts";
import { needsSudo } from "../../../src/setup/sudo.ts";

/** An account on a node: its uid, and what its sudo answers. */
function account(uid: number, sudo: { reason?: CommandError["reason"]; says?: string } = {}) {
  const told: string[] = [];
  const run = (argv: Argv) => {
    const command = argv.join(" ");
    told.push(command);
    if (command === "id -u") return Promise.resolve({ stdout: `${uid}\n` });
    if (command === "id -un") return Promise.resolve({ stdout: "backup\n" });
    if (sudo.reason === undefined) return Promise.resolve({ stdout: "" });
    const end = { status: 1, logTail: `${sudo.says ?? ""}\n` };
    return Promise.reject(new CommandError("it did not go well", argv, sudo.reason, end));
  };
  return { runner: { label: "backup@pve1", run } as unknown as Runner, told };
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError && error.kind === "unreachable", `not a refusal: ${error}`);
  return messageOf(error);
}

Deno.test("needsSudo() leaves root alone and runs nothing through sudo", async () => {
  const { runner, told } = account(0);
  assert.equal(await needsSudo(runner, "auto"), false);
  assert.deepEqual(told, ["id -u"]);
});

Deno.test("needsSudo() tries sudo for another account, the way commands will be run", async () => {
  const { runner, told } = account(1000);
  assert.equal(await needsSudo(runner, "auto"), true);
  assert.deepEqual(told, ["id -u", "sudo -n /bin/sh -c :"]);
});

Deno.test("needsSudo() tells the rule that is missing", async () => {
  const { runner } = account(1000, { reason: "status", says: "sudo: a password is required" });
  assert.equal(
    await refusal(needsSudo(runner, "auto")),
    'Cannot become root on "backup@pve1" with sudo: sudo: a password is required; ' +
      "add this line there with visudo, which gives the account all rights of root: " +
      "backup ALL=(root) NOPASSWD: /bin/sh",
  );
});

Deno.test("needsSudo() tells when there is no sudo", async () => {
  const { runner } = account(1000, { reason: "not-found" });
  assert.match(
    await refusal(needsSudo(runner, "always")),
    /sudo is not installed there; install it, or log in as/,
  );
});

Deno.test("needsSudo() honours always and never", async () => {
  assert.equal(await needsSudo(account(0).runner, "always"), true);
  const never = account(1000);
  assert.equal(await needsSudo(never.runner, "never"), false);
  assert.deepEqual(never.told, []);
});

Deno.test("needsSudo() does not blame sudo for a lost connection", async () => {
  const { runner } = account(1000, { reason: "connection" });
  await assert.rejects(needsSudo(runner, "always"), CommandError);
});
