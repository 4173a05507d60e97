import assert from "node:assert/strict";
import { commandError, isAlive, type MakeRunner, until, withBench } from "./runner_helpers.ts";

/** `run`: short commands. */
export function commandContract(name: string, make: MakeRunner): void {
  Deno.test(`${name} run() answers stdout and stderr apart`, () =>
    withBench(make, async ({ runner, script }) => {
      const output = await runner.run([...await script(`echo "out $1"; echo "err $2" >&2`), "a b", "$HOME"]);
      assert.deepEqual(output, { status: 0, stdout: "out a b\n", stderr: "err $HOME", logTail: "err $HOME" });
    }));

  Deno.test(`${name} run() finds tools by name and gives them an empty stdin and the C locale`, () =>
    withBench(make, async ({ runner }) => {
      const { stdout } = await runner.run(["sh", "-c", 'cat; echo "$LC_ALL"']);
      assert.equal(stdout, "C\n");
    }));

  Deno.test(`${name} run() rejects with the status and the tool's own words`, () =>
    withBench(make, async ({ runner, script }) => {
      const tool = await script(`echo "INFO: started"
        echo "ERROR: VM 101 is locked (backup)" >&2; echo "job errors" >&2; exit 25`);
      const error = await commandError(runner.run(tool));
      assert.equal(error.reason, "status");
      assert.equal(error.end.status, 25);
      assert.match(error.message, /^Cannot complete "tool-.*\.sh": exit status 25: ERROR: VM 101 is locked/);
      assert.equal(error.end.logTail, "ERROR: VM 101 is locked (backup)\njob errors");
    }));

  Deno.test(`${name} run() takes the reason from stdout when stderr is silent`, () =>
    withBench(make, async ({ runner }) => {
      const error = await commandError(runner.run(["sh", "-c", "echo 'ERROR: no space'; exit 255"]));
      assert.match(error.message, /exit status 255: ERROR: no space$/);
    }));

  Deno.test(`${name} run() answers a status that is accepted`, () =>
    withBench(make, async ({ runner }) => {
      const output = await runner.run(["sh", "-c", "echo none; exit 2"], { accept: [0, 2] });
      assert.equal(output.status, 2);
      assert.equal(output.stdout, "none\n");
    }));

  Deno.test(`${name} run() tells of the signal that ended the command`, () =>
    withBench(make, async ({ runner }) => {
      const error = await commandError(runner.run(["sh", "-c", "kill -KILL $$"]));
      assert.equal(error.end.status, 137);
      assert.match(error.message, /SIGKILL/);
    }));

  Deno.test(`${name} run() says which tool is missing and what to do`, () =>
    withBench(make, async ({ runner }) => {
      const error = await commandError(runner.run(["no-such-tool", "--version"]));
      assert.equal(error.reason, "not-found");
      assert.match(
        error.message,
        /^Cannot run "no-such-tool": not found in PATH .*; install it on the node$/,
      );
    }));

  Deno.test(`${name} run() says that a file is not executable`, () =>
    withBench(make, async ({ runner, dir }) => {
      await Deno.writeTextFile(`${dir}/plain`, "#!/bin/sh\n");
      const error = await commandError(runner.run([`${dir}/plain`]));
      assert.equal(error.reason, "not-executable");
    }));

  Deno.test(`${name} run() stops a command at the time limit with SIGTERM`, () =>
    withBench(make, async ({ runner, script }) => {
      const tool = await script("trap 'echo got TERM >&2; exit 1' TERM; while :; do sleep 0.1; done");
      const error = await commandError(runner.run(tool, { timeout: 500 }));
      assert.equal(error.reason, "timeout");
      assert.match(error.message, /no end after 0.5 s: got TERM$/);
    }));

  Deno.test(`${name} run() kills a command that ignores SIGTERM, and what it started`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(
        `trap '' TERM; sleep 60 & echo "$$ $!" >${dir}/pids; while :; do sleep 1; done`,
      );
      const error = await commandError(runner.run(tool, { timeout: 300 }));
      assert.equal(error.reason, "timeout");
      const pids = (await Deno.readTextFile(`${dir}/pids`)).split(" ").map(Number);
      await until("both processes are gone", () => !pids.some(isAlive));
    }));

  Deno.test(`${name} run() stops a command that says too much`, () =>
    withBench(make, async ({ runner }) => {
      const error = await commandError(runner.run(["yes"], { maxOutput: 1000 }));
      assert.match(error.message, /^Cannot complete "yes": it wrote more than 1000 bytes/);
      assert.equal(
        (await runner.run(["head", "-c", "1000", "/dev/zero"], { maxOutput: 1000 })).stdout.length,
        1000,
      );
    }));

  Deno.test(`${name} run() keeps the end of an endless stderr`, () =>
    withBench(make, async ({ runner }) => {
      const { stderr } = await runner.run(["sh", "-c", "{ seq 100000; echo last; } >&2"]);
      assert.ok(stderr.length <= 64 * 1024 && stderr.length > 32 * 1024);
      assert.ok(stderr.endsWith("100000\nlast"));
    }));

  Deno.test(`${name} run() does not wait for a process that the command left behind`, () =>
    withBench(make, async ({ runner, dir }) => {
      const { stdout } = await runner.run(["sh", "-c", `sleep 60 & echo $! >${dir}/pid; echo done`]);
      const pid = Number(await Deno.readTextFile(`${dir}/pid`));
      assert.equal(stdout, "done\n");
      assert.ok(isAlive(pid));
      Deno.kill(pid, "SIGKILL");
    }));
}
