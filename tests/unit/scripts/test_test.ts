import assert from "node:assert/strict";
import { exitStatus, parseArguments, runFiles } from "../../../scripts/test.ts";
import { ROOT } from "../../../scripts/run.ts";

/** Runs `source` as one test file of its own, ended after `seconds`. */
async function runSource(source: string, seconds = 60) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/a_test.ts`, source);
    const until = Date.now() + seconds * 1000;
    const setting = { folder, lacks: `${folder}/lacks`, until, isQuiet: true };
    const counts = await runFiles(
      [`${folder}/a_test.ts`],
      { minutes: 1, paths: [], passed: ["--no-check", "--quiet"] },
      setting,
    );
    const lacks = await Deno.readTextFile(setting.lacks).catch(() => "");
    return { counts, lacks };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runFiles() counts what passed and what lacked a program", async () => {
  const { counts, lacks } = await runSource(`
    import { needs } from ${JSON.stringify(`file://${ROOT}/tests/needs.ts`)};
    Deno.test("good", () => {});
    Deno.test({ name: "with sh", ...needs("sh"), fn() {} });
    Deno.test({ name: "without", ...needs("sh", "no-such-program"), fn() {} });
  `);
  assert.equal(counts.passed, 2);
  assert.equal(counts.failed, 0);
  assert.match(counts.skipped.join(), /a_test\.ts: without$/);
  assert.equal(lacks, "no-such-program\n");
});

Deno.test("runFiles() counts a failure when the runner dies without a report", async () => {
  const { counts } = await runSource(`Deno.test("dies", () => Deno.kill(Deno.pid, "SIGKILL"));`);
  assert.deepEqual(counts, { passed: 0, failed: 1, skipped: [] });
});

Deno.test("runFiles() counts a failure when a file does not load", async () => {
  const { counts } = await runSource(`Deno.test("never", () => {}); throw new Error("no");`);
  assert.deepEqual(counts, { passed: 0, failed: 1, skipped: [] });
});

Deno.test("runFiles() counts a failure when the time is up", async () => {
  const { counts } = await runSource(
    `Deno.test("good", () => new Promise((end) => setTimeout(end, 60_000)));`,
    0,
  );
  assert.deepEqual(counts, { passed: 0, failed: 1, skipped: [] });
});

Deno.test("exitStatus() is 0 only if tests ran and none failed, nor was skipped where that counts", () => {
  const counts = { passed: 1, failed: 0, skipped: [] };
  assert.equal(exitStatus(counts, true), 0);
  assert.equal(exitStatus({ ...counts, skipped: ["x"] }, false), 0);
  assert.equal(exitStatus({ ...counts, skipped: ["x"] }, true), 1);
  assert.equal(exitStatus({ ...counts, failed: 1 }, false), 1);
  assert.equal(exitStatus({ ...counts, passed: 0 }, false), 1);
});

Deno.test("parseArguments() tells paths, time limit and options of deno test apart", () => {
  const args = ["./tests/unit/", "--filter", "a b", "--minutes=0.5", "--fail-fast", `${ROOT}/tests/cli`];
  assert.deepEqual(parseArguments(args), {
    minutes: 0.5,
    paths: ["tests/unit", "tests/cli"],
    passed: ["--filter=a b", "--fail-fast"],
  });
  assert.equal(parseArguments([]).minutes, 40);
});
