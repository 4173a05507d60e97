import assert from "node:assert/strict";
import {
  commandError,
  countBytes,
  fileText,
  type MakeRunner,
  readText,
  sessionMembers,
  sessionOf,
  until,
  withBench,
} from "./runner_helpers.ts";

/** `read` and `finish`: jobs under the guard that end by themselves. */
export function jobContract(name: string, make: MakeRunner): void {
  Deno.test(`${name} read() delivers all bytes and ends well after status 0`, () =>
    withBench(make, async ({ runner, dir }) => {
      const job = await runner.read(["sh", "-c", "seq 1000000 | head -c 5000000"], { logDir: dir });
      const text = await readText(job);
      assert.equal(text.length, 5_000_000);
      assert.ok(text.startsWith("1\n2\n3\n"));
      assert.equal((await job.read(new Uint8Array(10))).length, 0);
      await job.cancel("after the end");
      assert.equal((await job.read(new Uint8Array(10))).length, 0);
    }));

  Deno.test(`${name} read() fills the view where it lies and leaves the rest of the buffer alone`, () =>
    withBench(make, async ({ runner, dir }) => {
      const job = await runner.read(["printf", "abcdef"], { logDir: dir });
      const first = await job.read(new Uint8Array(new Uint8Array(100).fill(7).buffer, 10, 4));
      assert.equal(first.byteOffset, 10);
      const second = await job.read(new Uint8Array(first.buffer, 14, 50));
      assert.equal(new TextDecoder().decode(new Uint8Array(second.buffer, 10, 6)), "abcdef");
      const end = await job.read(new Uint8Array(second.buffer, 16));
      assert.equal(end.length, 0);
      const all = new Uint8Array(end.buffer);
      assert.equal(all.length, 100);
      assert.deepEqual([all[9], all[15], all[16], all[99]], [7, "f".charCodeAt(0), 7, 7]);
    }));

  const failures: [what: string, script: string, status: number, words: RegExp][] = [
    ["fails without any output", "exit 3", 3, /exit status 3$/],
    ["fails after the last byte", "echo data; exec >&-; sleep 0.3; exit 255", 255, /exit status 255$/],
    ["is killed", "echo data; kill -KILL $$", 137, /exit status 137 \(SIGKILL\)$/],
    ["says why", "echo 'ERROR: no such VM' >&2; echo 'job errors' >&2; exit 255", 255, /ERROR: no such VM$/],
    [
      "is refused",
      "printf 'Unknown option: x\\n400 unable to parse option\\nusage\\n' >&2; exit 255",
      255,
      /: x$/,
    ],
    ["cannot find its program", "exec /no/such/program", 127, /not found/],
  ];
  for (const [what, text, status, words] of failures) {
    Deno.test(`${name} read() rejects when the command ${what}`, () =>
      withBench(make, async ({ runner, dir, script }) => {
        const job = await runner.read(await script(text), { logDir: dir });
        const error = await commandError(countBytes(job));
        assert.equal(error.reason, "status");
        assert.equal(error.end.status, status);
        assert.match(error.message, words);
        assert.equal((await commandError(job.read(new Uint8Array(1)))).message, error.message);
        await job.cancel("after the end");
      }));
  }

  Deno.test(`${name} read() and finish() reject at once when the tool is missing`, () =>
    withBench(make, async ({ runner, dir }) => {
      const error = await commandError(runner.read([`${dir}/vzdump`, "101"], { logDir: dir }));
      assert.equal(error.reason, "not-found");
      assert.match(error.message, /^Cannot run ".*\/vzdump": not found; run this on the Proxmox node$/);
      const other = await commandError(runner.finish([`${dir}/qmrestore`], { logDir: dir }));
      assert.equal(other.reason, "not-found");
      assert.deepEqual(await runner.files.list(dir), []);
    }));

  Deno.test(`${name} read() and finish() reject when the log directory is missing`, () =>
    withBench(make, async ({ runner, dir }) => {
      await assert.rejects(runner.read(["true"], { logDir: `${dir}/none` }), /none/);
      await assert.rejects(runner.finish(["true"], { logDir: `${dir}/none` }), /none/);
    }));

  Deno.test(`${name} read() hands over log lines while the job runs`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`echo "INFO: one" >&2; while [ ! -e ${dir}/go ]; do sleep 0.1; done
        echo data; printf "INFO: two\\r\\nlast without newline" >&2`);
      const lines: string[] = [];
      const job = await runner.read(tool, { logDir: dir, onLog: (line) => lines.push(line) });
      const text = readText(job);
      await until("the first line", () => lines.length > 0);
      assert.deepEqual(lines, ["INFO: one"]);
      assert.equal(job.logTail(), "INFO: one");
      await Deno.writeTextFile(`${dir}/go`, "");
      assert.equal(await text, "data\n");
      assert.deepEqual(lines, ["INFO: one", "INFO: two", "last without newline"]);
      assert.equal(job.logTail(), lines.join("\n"));
    }));

  Deno.test(`${name} read() leaves no log file behind and keeps it private`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const logDir = `${dir}/logs`;
      await Deno.mkdir(logDir);
      const job = await runner.read(await script("stat -L -c '%a %h' /proc/self/fd/2; exec cat"), { logDir });
      assert.deepEqual(await runner.files.list(logDir), []);
      assert.equal(await readText(job), "600 0\n");
    }));

  Deno.test(`${name} read() survives a log of 100 MB on bounded disk and memory`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const job = await runner.read(
        await script(`yes "INFO: noise" | head -n 8000000 >&2; echo "INFO: last" >&2
          for i in $(seq 50); do
            sleep 0.2
            size=$(stat -L -c %s /proc/self/fd/2)
            [ "$size" -lt 8000000 ] && break
          done
          echo "$size"`),
        { logDir: dir },
      );
      const left = Number(await readText(job));
      assert.ok(left < 8_000_000, `${left} bytes of log are left`);
      const tail = job.logTail();
      assert.ok(tail.length <= 64 * 1024);
      assert.ok(tail.endsWith("INFO: noise\nINFO: last"));
    }));

  Deno.test(`${name} read() makes text of a binary log without newlines`, () =>
    withBench(make, async ({ runner, dir }) => {
      const lines: string[] = [];
      const job = await runner.read(["sh", "-c", "head -c 3000000 /dev/urandom | tr '\\n' x >&2"], {
        logDir: dir,
        onLog: (line) => lines.push(line),
      });
      await countBytes(job);
      assert.ok(lines.length >= 1);
      assert.ok(job.logTail().isWellFormed());
      assert.ok(new TextEncoder().encode(job.logTail()).length <= 64 * 1024);
    }));

  Deno.test(`${name} read() gives the command an empty stdin and the C locale`, () =>
    withBench(make, async ({ runner, dir }) => {
      const job = await runner.read(["sh", "-c", 'cat; echo "$LC_ALL"'], { logDir: dir });
      assert.equal(await readText(job), "C\n");
    }));

  Deno.test(`${name} read() lets nobody but the command hold the pipe that it writes`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`echo $$; exec sleep 60`);
      const job = await runner.read(tool, { logDir: dir });
      const pid = Number(new TextDecoder().decode(await job.read(new Uint8Array(100))));
      const session = sessionOf(pid);
      const others = sessionMembers(session).filter((member) => member !== pid);
      assert.ok(others.length >= 2, "guard and watcher are there");
      const pipe = linkOf(pid, "1");
      await until(
        "guard and watcher have let go",
        () => !others.some((other) => links(other).includes(pipe)),
      );
      let control: string | undefined;
      await until("the watcher listens to us", () => {
        const links = sessionMembers(session).map((member) => linkOf(member, "3"));
        control = links.find((link) => link.startsWith("pipe:"));
        return control !== undefined;
      });
      assert.ok(!links(pid).includes(control!), "the command does not hold the guard's stdin");
      await job.cancel("enough");
      await until("nothing of the job is left", () => sessionMembers(session).length === 0);
    }));

  Deno.test(`${name} read() rejects when a process that was left behind keeps the pipe open`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`sleep 60 & echo $! >${dir}/pid; echo data`);
      const job = await runner.read(tool, { logDir: dir });
      const error = await commandError(countBytes(job));
      assert.match(error.message, /left behind keeps its output open/);
      Deno.kill(Number(fileText(`${dir}/pid`)), "SIGKILL");
    }, { linger: 300 }));

  Deno.test(`${name} read() waits for a slow reader after the command has ended`, () =>
    withBench(make, async ({ runner, dir }) => {
      const job = await runner.read(["head", "-c", "60000", "/dev/zero"], { logDir: dir });
      const first = await job.read(new Uint8Array(10));
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.equal(first.length + await countBytes(job), 60000);
    }, { linger: 200 }));

  Deno.test(`${name} finish() settles with the status and both streams as log`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const tool = await script(`cat; echo out; echo err >&2; exit "$1"`);
      const lines: string[] = [];
      const end = await runner.finish([...tool, "4"], { logDir: dir, onLog: (line) => lines.push(line) });
      assert.deepEqual(end, { status: 4, logTail: "out\nerr" });
      assert.deepEqual(lines, ["out", "err"]);
      assert.deepEqual(await runner.finish([...tool, "0"], { logDir: dir }), {
        status: 0,
        logTail: "out\nerr",
      });
    }));

  Deno.test(`${name} finish() stops a job with one SIGTERM when its signal aborts`, () =>
    withBench(make, async ({ runner, dir, script }) => {
      const stop = new AbortController();
      const tool = await script(`trap 'echo TERM; sleep 1; echo clean; exit 9' TERM
        echo out; while :; do sleep 0.1; done`);
      const onLog = (line: string) => line === "out" && stop.abort("enough");
      const end = await runner.finish(tool, { logDir: dir, stop: stop.signal, onLog });
      assert.deepEqual(end, { status: 9, logTail: "out\nTERM\nclean" });
      await assert.rejects(
        runner.finish(tool, { logDir: dir, stop: stop.signal }),
        (error) => error === "enough",
      );
    }));
}

function linkOf(pid: number, fd: string): string {
  try {
    return Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return ""; // closed, or the process is gone
  }
}

function links(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => linkOf(pid, name));
}
