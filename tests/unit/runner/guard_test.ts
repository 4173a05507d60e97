import assert from "node:assert/strict";
import { finishGuardArgs, readGuardArgs } from "../../../src/runner/guard.ts";
import { needs } from "../../needs.ts";

// The guard must run under whatever `sh` a node has.
const SHELLS = ["dash", "bash"];

interface GuardRun {
  status: number;
  stdout: string;
  /** What the guard itself said before it had its log. */
  stderr: string;
  log: string;
}

/** Runs a guard with `input` as its whole stdin; `log` keeps a second name, so that it can be read. */
async function runGuard(
  shell: string,
  args: (log: string) => string[],
  input: string,
  env: Record<string, string> = {},
): Promise<GuardRun> {
  const dir = await Deno.makeTempDir({ prefix: "guard-test-" });
  try {
    await Deno.writeTextFile(`${dir}/log`, "");
    await Deno.link(`${dir}/log`, `${dir}/kept`);
    const child = new Deno.Command(shell, {
      args: args(`${dir}/log`),
      env,
      detached: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    if (input !== "open") await writer.write(new TextEncoder().encode(input));
    if (input === "") await writer.close();
    const output = await child.output();
    await writer.close().catch(() => {});
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const log = await Deno.readTextFile(`${dir}/kept`);
    return { status: output.code, stdout: text(output.stdout), stderr: text(output.stderr), log };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const LIMITS = { grace: 1000, patience: 2000 };

for (const shell of SHELLS) {
  const test = (what: string, fn: () => Promise<void>) =>
    Deno.test({ name: `guard under ${shell} ${what}`, fn, ...needs(shell) });
  const read = (script: string) => (log: string) => readGuardArgs(log, LIMITS, ["/bin/sh", "-c", script]);

  test("passes stdout, log and status apart", async () => {
    const run = await runGuard(shell, read("echo out; echo log >&2; exit 7"), "open");
    assert.deepEqual(run, { status: 7, stdout: "out\n", stderr: "", log: "log\n" });
  });

  test("answers 128 + signal of a job that was killed", async () => {
    const run = await runGuard(shell, read("echo last words >&2; kill -KILL $$"), "open");
    assert.equal(run.status, 137);
    assert.equal(run.log, "last words\n");
  });

  test("answers 127 and says why when the program cannot be found", async () => {
    const run = await runGuard(shell, (log) => readGuardArgs(log, LIMITS, ["/no/such/tool"]), "open");
    assert.equal(run.status, 127);
    assert.match(run.log, /\/no\/such\/tool/);
  });

  test("sends one SIGTERM for any number of words", async () => {
    const job =
      `trap 'echo TERM >&2' TERM; i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i + 1)); done; exit 5`;
    const run = await runGuard(shell, read(job), "bytes\nstop\nstop\n");
    assert.deepEqual(run, { status: 5, stdout: "", stderr: "", log: "TERM\n" });
  });

  test("sends one SIGTERM after the grace when its stdin ends", async () => {
    const job = `trap 'echo TERM >&2; exit 6' TERM; while :; do sleep 0.1; done`;
    const run = await runGuard(shell, read(job), "");
    assert.deepEqual(run, { status: 6, stdout: "", stderr: "", log: "TERM\n" });
  });

  test("takes half a word for no word", async () => {
    const job = `trap 'echo TERM >&2; exit 6' TERM; sleep 0.5; exit 0`;
    assert.equal((await runGuard(shell, read(job), "sto")).status, 0);
  });

  for (
    const sign of [
      "INFO: aborting backup job",
      "ERROR: Backup of VM 101 failed - x",
      "INFO: transferred 1 GiB",
    ]
  ) {
    test(`sends no SIGTERM after "${sign}"`, async () => {
      const job =
        `trap 'echo TERM >&2; exit 6' TERM; printf 'noise\\0\\n${sign}\\n' >&2; sleep 0.5; sleep 2; exit 5`;
      const run = await runGuard(shell, read(job), "");
      assert.equal(run.status, 5);
    });
  }

  test("says so and starts nothing when the log cannot be opened", async () => {
    const args = () => readGuardArgs("/no/such/dir/log", LIMITS, ["/bin/echo", "started"]);
    const run = await runGuard(shell, args, "open");
    assert.equal(run.status, 125);
    assert.equal(run.stdout, "");
    assert.match(run.stderr, /\/no\/such\/dir\/log/);
  });

  test("that lets a job finish passes both streams to the log", async () => {
    const run = await runGuard(
      shell,
      (log) => finishGuardArgs(log, ["/bin/sh", "-c", 'cat; echo "$1"; echo log >&2; exit 7', "x", "a  b"]),
      "",
    );
    assert.deepEqual(run, { status: 7, stdout: "", stderr: "", log: "a  b\nlog\n" });
  });
}
