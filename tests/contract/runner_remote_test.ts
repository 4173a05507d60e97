import assert from "node:assert/strict";
import { UserError } from "../../src/core/errors.ts";
import { ChildChannels } from "../../src/runner/remote/child_channel.ts";
import type { Channels } from "../../src/runner/remote/channel.ts";
import { ShellRunner, type ShellRunnerOptions } from "../../src/runner/remote/shell_runner.ts";
import { needs } from "../needs.ts";
import { FaultyChannels, shellChannels } from "./faulty_channels.ts";
import {
  type Bench,
  commandError,
  countBytes,
  fileText,
  isAlive,
  pause,
  readText,
  until,
  withBench,
} from "./runner_helpers.ts";

/** Runs `body` with a runner over `channels`. */
function over<T extends Channels>(
  channels: T,
  body: (bench: Bench & { channels: T }) => Promise<void>,
  options: ShellRunnerOptions = {},
): () => Promise<void> {
  const runner = new ShellRunner(channels, options);
  const close = () => runner.close();
  return () => withBench(() => Promise.resolve({ runner, close }), (bench) => body({ ...bench, channels }));
}

/** The error for the user that `promise` rejects with. */
async function userError(promise: Promise<unknown>): Promise<UserError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError, `a UserError was expected, not ${Deno.inspect(error)}`);
  return error;
}

const NOISY = `echo "Welcome!"; head -c 30000 /dev/zero; printf "no newline"
echo "setlocale: LC_ALL: cannot change locale" >&2; printf "still noise" >&2`;

Deno.test(
  "remote noise of login files is neither output, log nor bytes",
  over(shellChannels(NOISY), async ({ runner, dir }) => {
    const output = await runner.run(["sh", "-c", "echo out; echo err >&2"]);
    assert.deepEqual([output.stdout, output.stderr], ["out\n", "err"]);
    const job = await runner.read(["sh", "-c", "echo data; echo log >&2"], { logDir: dir });
    assert.equal(await readText(job), "data\n");
    assert.equal(job.logTail(), "log");
    await Deno.writeTextFile(`${dir}/file`, "bytes");
    assert.equal(await readText(await runner.files.open(`${dir}/file`)), "bytes");
    await assert.rejects(runner.files.create(`${dir}/file`), { code: "EEXIST" });
  }),
);

Deno.test(
  "remote login files that never stop are an error which quotes them",
  over(shellChannels("yes 'last login: today'"), async ({ runner }) => {
    const error = await userError(runner.run(["true"]));
    assert.equal(error.kind, "unreachable");
    assert.match(
      error.message,
      /^Cannot run commands on "root@pve1": .* more than 64 KiB \("last login: today/,
    );
  }),
);

Deno.test(
  "remote login shell that refuses is quoted",
  over(shellChannels("echo 'This account is currently not available.'; exit 1"), async ({ runner }) => {
    const tries = [
      () => runner.run(["true"]),
      () => runner.hasTool("true"),
      () => runner.files.stat("/"),
      () => runner.guardDir("/x"),
    ];
    for (const attempt of tries) {
      const error = await userError(attempt());
      assert.equal(
        error.message,
        'Cannot run commands on "root@pve1": exit status 1 ("This account is currently not available.")',
      );
    }
  }),
);

Deno.test("remote sudo that wants a password is told from a command that failed", async () => {
  const bin = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${bin}/sudo`, "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n", {
      mode: 0o755,
    });
    const env = { PATH: `${bin}:${Deno.env.get("PATH")}` };
    const channels = new ChildChannels({
      label: "op@pve1",
      argv: ["/bin/sh", "-c"],
      env,
      killOnClose: false,
    });
    await over(channels, async ({ runner }) => {
      const error = await userError(runner.run(["true"]));
      assert.equal(
        error.message,
        'Cannot become root on "op@pve1" by sudo: exit status 1 ("sudo: a password is required")',
      );
      assert.match(error.sentence, /NOPASSWD/);
    }, { sudo: true })();
  } finally {
    await Deno.remove(bin, { recursive: true });
  }
});

Deno.test("remote child that ends before the program is explained by its transport", async () => {
  const channels = new ChildChannels({
    label: "root@pve1",
    argv: ["/bin/sh", "-c", "echo 'ssh: connect: refused' >&2; exit 255", "sh"],
    killOnClose: true,
    explain: (status, stderr) => new UserError("unreachable", `${status}: ${stderr}`),
  });
  await over(channels, async ({ runner }) => {
    assert.equal((await userError(runner.run(["true"]))).message, "255: ssh: connect: refused");
  })();
  const missing = new ChildChannels({ label: "root@pve1", argv: ["/no/such/ssh"], killOnClose: true });
  await over(missing, async ({ runner }) => {
    assert.match(
      (await userError(runner.run(["true"]))).message,
      /^Cannot reach "root@pve1": "\/no\/such\/ssh"/,
    );
  })();
});

Deno.test(
  "remote read() rejects when the connection is lost, and the job ends",
  over(new FaultyChannels({ output: 300_000 }), async ({ runner, dir, script }) => {
    const job = await runner.read(await script(`echo $$ >${dir}/pid; cat /dev/zero`), { logDir: dir });
    const error = await commandError(countBytes(job));
    assert.equal(error.reason, "connection");
    assert.match(
      error.message,
      /^Cannot complete "tool-.*": lost the connection to "root@pve1": reset by peer$/,
    );
    await job.cancel("after the loss");
    await until("the job has ended", () => !isAlive(Number(fileText(`${dir}/pid`))));
  }),
);

Deno.test(
  "remote read() is not fooled by a status of 0 that came before the last bytes were lost",
  over(new FaultyChannels({ output: 30_000 }), async ({ runner, dir }) => {
    const job = await runner.read(["head", "-c", "60000", "/dev/zero"], { logDir: dir });
    await pause(1000); // until the status has come
    assert.equal((await commandError(countBytes(job))).reason, "connection");
  }),
);

Deno.test(
  "remote finish() says that nobody knows when the connection is lost, and the tool goes on",
  over(new FaultyChannels(), async ({ runner, dir, script, channels }) => {
    const tool = await script(`echo "INFO: half"; while [ ! -e ${dir}/go ]; do sleep 0.1; done
      for step in 1 2 3; do echo "step $step"; echo "error $step" >&2; done; echo done >${dir}/done`);
    const end = runner.finish(tool, {
      logDir: dir,
      onLog: (line) => line === "INFO: half" && channels.lose(),
    });
    assert.deepEqual(await end, {
      status: -1,
      logTail: 'INFO: half\n[Lost the connection to "root@pve1": reset by peer]',
    });
    await Deno.writeTextFile(`${dir}/go`, "");
    await until("the tool is through", () => fileText(`${dir}/done`) === "done\n");
  }),
);

Deno.test(
  "remote run() rejects when the connection is lost, and kills the command with what it started",
  over(new FaultyChannels(), async ({ runner, dir, script, channels }) => {
    const tool = await script(`sleep 60 & echo "$$ $!" >${dir}/pids; wait`);
    const running = commandError(runner.run(tool));
    await until("the command is at work", () => fileText(`${dir}/pids`).endsWith("\n"));
    channels.lose();
    assert.equal((await running).reason, "connection");
    const pids = fileText(`${dir}/pids`).split(" ").map(Number);
    await until("nothing is left", () => !pids.some(isAlive));
  }),
);

Deno.test(
  "remote run() rejects when the connection is lost after the command's last byte",
  over(new FaultyChannels({ output: 5000 }), async ({ runner }) => {
    assert.equal((await commandError(runner.run(["head", "-c", "9000", "/dev/zero"]))).reason, "connection");
  }),
);

Deno.test(
  "remote filter() rejects when the connection is lost",
  over(new FaultyChannels({ input: 200_000 }), async ({ runner }) => {
    const filter = await runner.filter(["cat"], () => {});
    const error = await commandError((async () => {
      for (let count = 0; count < 10; count++) await filter.write(new Uint8Array(50_000));
      await filter.end();
    })());
    assert.equal(error.reason, "connection");
  }),
);

Deno.test(
  "remote files open() rejects when the connection is lost",
  over(new FaultyChannels({ output: 100_000 }), async ({ runner, dir }) => {
    await Deno.writeFile(`${dir}/file`, new Uint8Array(200_000));
    await assert.rejects(
      countBytes(await runner.files.open(`${dir}/file`)),
      /lost the connection to "root@pve1"/,
    );
  }),
);

Deno.test(
  "remote files open() rejects when the node's cat is killed",
  over(shellChannels(), async ({ runner, dir }) => {
    const path = `${dir}/file`;
    await Deno.writeFile(path, new Uint8Array(2_000_000));
    const source = await runner.files.open(path);
    await source.read(new Uint8Array(10));
    const { stdout } = await runner.run(["pgrep", "-f", `^cat -- ${path}`]);
    Deno.kill(Number(stdout), "SIGKILL");
    const error = await commandError(countBytes(source));
    assert.match(error.message, /^Cannot complete "cat": exit status 137 \(SIGKILL\)/);
  }),
);

for (const [what, bytes] of [["early", 10], ["late", 1_000_010]] as const) {
  Deno.test(
    `remote files create() fails and leaves no part file when the connection is lost ${what}`,
    over(new FaultyChannels(), async ({ runner, dir, channels }) => {
      const path = `${dir}/part`;
      const writer = await runner.files.create(path);
      await writer.write(new Uint8Array(bytes));
      await until("all bytes have come", () => Deno.statSync(path).size === bytes);
      channels.lose();
      await assert.rejects(writer.close(), /Cannot write ".*part": .*the connection to "root@pve1"/);
      await writer.abort();
      await until("the part file is gone", async () => (await runner.files.stat(path)) === null);
    }),
  );
}

Deno.test(
  "remote files create() fails and leaves no part file when its end is cut by a byte",
  over(new FaultyChannels({ input: 1_000_000 }), async ({ runner, dir }) => {
    const writer = await runner.files.create(`${dir}/part`);
    await assert.rejects(async () => {
      for (;;) await writer.write(new Uint8Array(99_999));
    }, /Cannot write ".*part": lost the connection to "root@pve1"/);
    await until("the part file is gone", () => [...Deno.readDirSync(dir)].length === 0);
  }),
);

Deno.test({
  name: "remote files create() tells a full disk",
  ...needs("unshare"),
  ignore: needs("unshare").ignore || Deno.uid() !== 0,
  async fn() {
    const disk = await Deno.makeTempDir();
    const script = 'mount -t tmpfs -o size=1m tmpfs "$0" && eval "$1"';
    const argv = ["unshare", "-m", "/bin/sh", "-c", script, disk] as const;
    const channels = new ChildChannels({ label: "root@pve1", argv, killOnClose: false });
    await over(channels, async ({ runner }) => {
      for (const chunks of [3, 300]) {
        const writer = await runner.files.create(`${disk}/file`);
        await assert.rejects(async () => {
          for (let count = 0; count < chunks; count++) await writer.write(new Uint8Array(500_000));
          await writer.close();
        }, { code: "ENOSPC", message: /^Cannot write ".*file": No space left on device$/ });
        await writer.abort();
      }
    })();
    await Deno.remove(disk);
  },
});

Deno.test(
  "remote locks and guarded directories end with the connection",
  over(new FaultyChannels(), async ({ runner, dir, channels }) => {
    await runner.files.makeDir(`${dir}/run`, 0o700);
    await Deno.writeTextFile(`${dir}/run/busy`, "");
    await runner.guardDir(`${dir}/run`);
    await runner.files.lock(`${dir}/lock`);
    const tryLock = ["flock", "--nonblock", `${dir}/lock`, "true"] as const;
    assert.equal((await runner.run(tryLock, { accept: [1] })).status, 1);
    channels.lose();
    await until("the directory is gone", async () => (await runner.files.stat(`${dir}/run`)) === null);
    await until("the lock is free", async () => (await runner.run(tryLock, { accept: [0, 1] })).status === 0);
  }),
);

Deno.test(
  "remote paths may hold anything",
  over(shellChannels(), async ({ runner: { files }, dir }) => {
    const strange = `${dir}/-rf $(touch x) 'quoted' "double" \\ new\nline ü *`;
    await files.makeDir(strange, 0o700);
    const writer = await files.create(`${strange}/a\nb`);
    await writer.write(new TextEncoder().encode("text"));
    await writer.close();
    await files.link(`${strange}/a\nb`, `${strange}/-f`);
    assert.deepEqual((await files.list(strange)).sort(), ["-f", "a\nb"]);
    assert.equal(await files.readText(`${strange}/-f`), "text");
    assert.equal(await readText(await files.open(`${strange}/a\nb`)), "text");
    await files.removeFile(`${strange}/-f`);
    await files.removeTree(strange);
    assert.deepEqual(await files.list(dir), []);
  }),
);
