import assert from "node:assert/strict";
import {
  commandError,
  countBytes,
  type MakeRunner,
  pause,
  sessionMembers,
  sessionOf,
  until,
  withBench,
} from "./runner_helpers.ts";

// Notes each SIGTERM; cleans up for a second, and writes more than a pipe holds meanwhile, as a dump whose
// disks still deliver does.
const CLEANS_UP = `terms=0
trap 'terms=$((terms + 1)); echo "TERM $terms" >&2' TERM
cleanup() { head -c 300000 /dev/zero; i=0; while [ $i -lt 10 ]; do sleep 0.1; i=$((i + 1)); done; echo "clean $terms" >&2; exit 255; }
`;

/** `cancel` of a job that runs. */
export function cancelContract(name: string, make: MakeRunner): void {
  const cases: [what: string, script: string][] = [
    ["that writes", `while [ $terms = 0 ]; do echo data; sleep 0.02; done; cleanup`],
    ["that writes as fast as it can", `while [ $terms = 0 ]; do head -c 100000 /dev/zero; done; cleanup`],
    ["that waits", `while [ $terms = 0 ]; do sleep 0.1; done; cleanup`],
    [
      "that goes on after a failed fs-freeze",
      `echo "ERROR: VM 101 qmp command 'guest-fsfreeze-freeze' failed - got timeout" >&2; while [ $terms = 0 ]; do sleep 0.1; done; cleanup`,
    ],
  ];
  for (const [what, body] of cases) {
    Deno.test(`${name} cancel() ends a job ${what} with one SIGTERM and lets it clean up`, () =>
      withBench(make, async ({ runner, dir, script }) => {
        const job = await runner.read(await script(`${CLEANS_UP}\n echo "INFO: ready" >&2; ${body}`), {
          logDir: dir,
        });
        // Over SSH the log comes through the same window as the bytes: it waits for those who do not read.
        const reading = commandError(countBytes(job));
        await until("the job is at work", () => job.logTail().includes("INFO: ready"));
        const cancelling = job.cancel(new Error("the disk is full"));
        await Promise.all([cancelling, job.cancel("again")]);
        const error = await reading;
        assert.equal(error.reason, "stopped");
        assert.match(error.message, /^Stopped "tool-.*\.sh": the disk is full$/);
        assert.equal(error.end.status, 255);
        assert.match(error.end.logTail, /TERM 1\nclean 1$/);
        assert.equal((await commandError(job.read(new Uint8Array(1)))).reason, "stopped");
      }));
  }

  Deno.test(`${name} cancel() sends no SIGTERM to a job that already cleans up`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`${CLEANS_UP}
        echo "ERROR: job failed" >&2; echo "INFO: aborting backup job" >&2; cleanup`);
      const job = await runner.read(tool, { logDir: dir });
      await until("the cleanup", () => job.logTail().includes("aborting"));
      await job.cancel("stop");
      assert.match(job.logTail(), /aborting backup job\nclean 0$/);
    }));

  Deno.test(`${name} cancel() before the first read ends a job`, () =>
    withBench(make, async ({ runner, dir }) => {
      const job = await runner.read(["sleep", "60"], { logDir: dir });
      await job.cancel("not needed");
      const error = await commandError(job.read(new Uint8Array(1)));
      assert.equal(error.reason, "stopped");
      assert.equal(error.end.status, 143);
    }));

  Deno.test(`${name} cancel() is not fooled by a status of 0`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`trap 'exit 0' TERM; echo data; while :; do sleep 0.1; done`);
      const job = await runner.read(tool, { logDir: dir });
      await job.read(new Uint8Array(100));
      await job.cancel("stop");
      assert.equal((await commandError(job.read(new Uint8Array(1)))).reason, "stopped");
    }));

  Deno.test(`${name} cancel() closes the pipe under a job that does not end`, () =>
    withBench(make, async ({ runner, dir, script, closesPipes }) => {
      const tool = await script(`trap '' TERM; while echo data; do sleep 0.05; done 2>/dev/null; exit 1`);
      const job = await runner.read(tool, { logDir: dir });
      await job.read(new Uint8Array(100));
      await job.cancel("stop");
      const error = await commandError(job.read(new Uint8Array(1)));
      // Where closing the pipe takes closing the channel (RFC 4254 has no other way), nobody can tell the status.
      const expected = closesPipes ? [141] : [141, -1];
      assert.ok(expected.includes(error.end.status), `status ${error.end.status}`);
    }, { drain: 2000 }));

  Deno.test({
    name: `${name} cancel() gives up on a job that neither ends nor writes, and says so`,
    // The job is let go while it runs.
    sanitizeResources: false,
    sanitizeOps: false,
    fn: () =>
      withBench(make, async ({ runner, dir, script }) => {
        const tool = await script(`trap '' TERM; echo $$; while :; do sleep 0.1; done`);
        const job = await runner.read(tool, { logDir: dir });
        const pid = Number(new TextDecoder().decode(await job.read(new Uint8Array(100))));
        const reading = commandError(job.read(new Uint8Array(1)));
        await job.cancel("stop");
        assert.match(
          (await reading).message,
          /: stop; (it is still running|whether it ended is not known \(.*\))$/,
        );
        const session = sessionOf(pid);
        Deno.kill(pid, "SIGKILL");
        await until("the job and its guard are gone", () => sessionMembers(session).length === 0);
        await pause(100);
      }, { drain: 500 }),
  });

  Deno.test({
    name: `${name} finish() gives up on a job that ignores its stop`,
    sanitizeResources: false,
    sanitizeOps: false,
    fn: () =>
      withBench(make, async ({ runner, dir, script }) => {
        const tool = await script(`trap '' TERM; echo $$; while :; do sleep 0.1; done`);
        const stop = new AbortController();
        const lines: string[] = [];
        const onLog = (line: string) => {
          lines.push(line);
          stop.abort("enough");
        };
        assert.equal((await runner.finish(tool, { logDir: dir, stop: stop.signal, onLog })).status, -1);
        const session = sessionOf(Number(lines[0]));
        Deno.kill(Number(lines[0]), "SIGKILL");
        await until("the job and its guard are gone", () => sessionMembers(session).length === 0);
        await pause(100);
      }, { drain: 700 }),
  });
}
