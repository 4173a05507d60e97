import assert from "node:assert/strict";
import type { JobSink } from "../../src/runner/runner.ts";
import {
  commandError,
  fileText,
  isAlive,
  type MakeRunner,
  pause,
  sessionMembers,
  sessionOf,
  until,
  withBench,
} from "./runner_helpers.ts";

const MIB = 1024 * 1024;

/** Bytes that tell where they stand. */
function pattern(length: number): Uint8Array {
  return new Uint8Array(new Uint32Array(length / 4).map((_, index) => index).buffer);
}

/** Writes until the job takes no more. */
async function writeOn(sink: JobSink): Promise<never> {
  for (;;) await sink.write(new Uint8Array(100_000));
}

/** `feed`: jobs that read what we write, and are told its end by us alone. */
export function feedContract(name: string, make: MakeRunner): void {
  Deno.test(`${name} feed() brings every byte and the end of input, and answers status and log`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`echo out; cat >${dir}/taken; echo err >&2; exit "$1"`);
      const bytes = pattern(5 * MIB);
      for (const status of [0, 4]) {
        const lines: string[] = [];
        const sink = await runner.feed([...tool, String(status)], {
          logDir: dir,
          onLog: (line) => lines.push(line),
        });
        await sink.write(bytes.subarray(0, 1));
        await sink.write(bytes.subarray(1, 100_000));
        await sink.write(bytes.subarray(100_000));
        assert.deepEqual(await sink.end(), { status, logTail: "out\nerr" });
        assert.deepEqual(lines, ["out", "err"]);
        assert.deepEqual(await Deno.readFile(`${dir}/taken`), bytes);
      }
    }));

  Deno.test(`${name} feed() ends an input without any byte`, () =>
    withBench(make, async ({ runner, dir }) => {
      const sink = await runner.feed(["wc", "-c"], { logDir: dir });
      assert.deepEqual(await sink.end(), { status: 0, logTail: "0" });
    }));

  Deno.test(`${name} feed() holds the writer back while the job does not read`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`while [ ! -e ${dir}/go ]; do sleep 0.1; done; wc -c`);
      const sink = await runner.feed(tool, { logDir: dir });
      let written = 0;
      const writing = (async () => {
        while (written < 64 * MIB) {
          await sink.write(new Uint8Array(MIB));
          written += MIB;
        }
      })();
      await pause(1500);
      assert.ok(written < 24 * MIB, `${written} bytes were taken by nobody`);
      await Deno.writeTextFile(`${dir}/go`, "");
      await writing;
      assert.deepEqual(await sink.end(), { status: 0, logTail: String(64 * MIB) });
    }));

  Deno.test(`${name} feed() kills a job without letting it see the end of its input`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`trap 'echo TERM; sleep 1; echo clean; exit 9' TERM
        exec 7<&0; { cat >/dev/null && echo EOF; } <&7 &
        echo ready; while :; do wait; done`);
      let isReady = false;
      const sink = await runner.feed(tool, { logDir: dir, onLog: () => isReady = true });
      await sink.write(new Uint8Array(100_000));
      await until("the job is at work", () => isReady);
      const end = await sink.kill("the source was cut");
      assert.deepEqual(end, { status: 9, logTail: "ready\nTERM\nclean" });
      const error = await commandError(sink.write(new Uint8Array(1)));
      assert.equal(error.reason, "stopped");
      assert.match(error.message, /^Stopped "tool-.*": the source was cut$/);
      assert.equal((await commandError(sink.end())).reason, "stopped");
      assert.deepEqual(await sink.kill("again"), end);
    }));

  Deno.test(`${name} feed() kills a job that does not read, and the write that waits for it`, () =>
    withBench(make, async ({ runner, dir }) => {
      const sink = await runner.feed(["sh", "-c", "echo ready; exec sleep 60"], { logDir: dir });
      const writing = commandError(writeOn(sink));
      await pause(500);
      assert.equal((await sink.kill("enough")).status, 143);
      assert.equal((await writing).reason, "stopped");
    }));

  Deno.test(`${name} feed() lets a job begin before it is killed: it may have nothing yet that cleans up`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(
        `sleep 1; trap 'echo clean; exit 9' TERM; echo ready; while :; do sleep 0.1; done`,
      );
      const sink = await runner.feed(tool, { logDir: dir });
      assert.deepEqual(await sink.kill("enough"), { status: 9, logTail: "ready\nclean" });
    }));

  Deno.test(`${name} feed() kills what a job left behind before it could take the end for whole`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      // As Proxmox's tools: what reads is in a session of its own, and its parent may die alone.
      const tool = await script(`echo ready; exec 7<&0; setsid sh -c 'trap "" TERM; echo $$ >${dir}/pid
        cat >/dev/null && echo whole >${dir}/whole' <&7 & exec sleep 60`);
      const sink = await runner.feed(tool, { logDir: dir });
      await sink.write(new Uint8Array(100_000));
      await until("the reader is at work", () => fileText(`${dir}/pid`) !== "");
      const reader = Number(fileText(`${dir}/pid`));
      const guard = sessionOf(Number(fileText(`/proc/${reader}/stat`).split(" ")[3]));
      assert.equal((await sink.kill("enough")).status, 143);
      await until("the reader is gone", () => !isAlive(reader));
      await until("the guard is gone", () => sessionMembers(guard).length === 0);
      assert.equal(fileText(`${dir}/whole`), "");
    }));

  Deno.test(`${name} feed() kills a job that does not end by its SIGTERM`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`trap '' TERM; echo ready; echo $$ >${dir}/pid; while :; do sleep 0.1; done`);
      const sink = await runner.feed(tool, { logDir: dir });
      await until("the job is at work", () => fileText(`${dir}/pid`) !== "");
      assert.equal((await sink.kill("enough")).status, 137);
    }, { patience: 1000 }));

  const failures: [what: string, text: string, status: number, words: RegExp][] = [
    ["fails at once", "echo 'unable to restore VM 101 - no' >&2; exit 255", 255, /255: unable to .* - no$/],
    ["fails midway", "head -c 300000 >/dev/null; echo 'ERROR: broken' >&2; exit 2", 2, /2: ERROR: broken$/],
    ["is killed", "head -c 300000 >/dev/null; kill -KILL $$", 137, /137 \(SIGKILL\)$/],
    ["says that all is well", "head -c 10 >/dev/null; exit 0", 1, /it ended before its input did$/],
  ];
  for (const [what, text, status, words] of failures) {
    Deno.test(`${name} feed() tells the job's own words when it ${what} before the end of its input`, () =>
      withBench(make, async ({ runner, dir, script }) => {
        const sink = await runner.feed(await script(text), { logDir: dir });
        const error = await commandError(writeOn(sink));
        assert.equal(error.reason, "status");
        assert.equal(error.end.status, status);
        assert.match(error.message, words);
        assert.equal((await sink.kill("after the end")).status, status);
      }));
  }

  Deno.test(`${name} feed() does not believe a job that ended before a short input did`, () =>
    withBench(make, async ({ runner, dir }) => {
      for (const waits of [0, 500]) {
        const sink = await runner.feed(["true"], { logDir: dir });
        await pause(waits);
        await sink.write(new Uint8Array(1));
        const end = await sink.end();
        assert.equal(end.status, 1);
        assert.match(end.logTail, /it ended before its input did/);
      }
    }));

  Deno.test(`${name} feed() believes a job that took all and did not wait for the end of its input, as tar does`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`head -c 100000 >${dir}/taken; echo $$ >${dir}/pid`);
      for (const settle of ["end", "kill"] as const) {
        const sink = await runner.feed(tool, { logDir: dir });
        await sink.write(new Uint8Array(100_000));
        await until("the job has ended", () => {
          const pid = fileText(`${dir}/pid`);
          return pid !== "" && !isAlive(Number(pid));
        });
        assert.equal((await sink[settle]("enough")).status, 0);
        await Deno.remove(`${dir}/pid`);
      }
    }));

  Deno.test(`${name} feed() lets the job hold its file, keeps its log private and leaves no name behind`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const logDir = `${dir}/logs`;
      const hold = `${dir}/busy`;
      await Deno.mkdir(logDir);
      await Deno.writeTextFile(hold, "");
      const tool = await script(`cat >/dev/null; stat -L -c '%a %h' /proc/self/fd/2
        flock --nonblock ${hold} true || echo held`);
      const sink = await runner.feed(tool, { logDir, hold });
      assert.deepEqual(await runner.files.list(logDir), []);
      assert.deepEqual(await sink.end(), { status: 0, logTail: "600 0\nheld" });
    }));

  Deno.test(`${name} feed() rejects when the tool or the log directory is missing`, () =>
    withBench(make, async ({ runner, dir }) => {
      assert.equal(
        (await commandError(runner.feed([`${dir}/qmrestore`], { logDir: dir }))).reason,
        "not-found",
      );
      await assert.rejects(runner.feed(["true"], { logDir: `${dir}/none` }), /none/);
      assert.deepEqual(await runner.files.list(dir), []);
    }));
}
