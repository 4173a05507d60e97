/** What happens to bytes under way when the way breaks, and on nodes that are not as usual. */
import assert from "node:assert/strict";
import { CommandError } from "../../src/runner/runner.ts";
import { UserError } from "../../src/core/errors.ts";
import { countBytes, pause, readText } from "../contract/runner_helpers.ts";
import { eventually } from "../plakar/bed.ts";
import { SshBed } from "./bed.ts";
import { FaultProxy } from "./proxy.ts";
import { forEachTransport, type Transport, withRunner } from "./transports.ts";

const MIB = 1024 * 1024;
const SLOWLY = ["sh", "-c", "while head -c 100000 /dev/zero; do sleep 0.02; done"] as const;

/** A bed with a proxy before its only node, and options that go through it. */
async function proxied(bed: SshBed, more: { keepalive?: number } = {}) {
  const proxy = new FaultProxy({ hostname: bed.nodes[0]!.address, port: bed.port });
  return { proxy, options: bed.sshOptions({ target: await bed.knowProxy(proxy), ...more }) };
}

/** What a lost connection ends with. */
async function loss(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    (value) => assert.fail(`no loss, but ${value}`),
    (error: unknown) => error,
  );
  const cause = error instanceof Error && error.cause;
  const isLoss = error instanceof CommandError && error.reason === "connection" ||
    [error, cause].some((one) => one instanceof UserError && one.kind === "unreachable");
  assert.ok(isLoss, Deno.inspect(error));
  assert.match((error as Error).message, /[Ll]ost the connection to "root@127[\d.:]+"/);
  return error as Error;
}

forEachTransport("takes no bytes for whole when sshd is killed, and connects again", async (transport) => {
  await using bed = await SshBed.create();
  await withRunner(transport, bed.sshOptions(), async (runner) => {
    const job = await runner.read(SLOWLY, { logDir: bed.dir });
    await job.read(new Uint8Array(1000));
    const counting = loss(countBytes(job));
    bed.nodes[0]!.dropConnections();
    await counting;
    assert.equal((await runner.run(["echo", "again"])).stdout, "again\n");
  });
});

for (const by of ["fin", "rst"] as const) {
  forEachTransport(`takes no bytes for whole when the connection is cut (${by})`, async (transport) => {
    await using bed = await SshBed.create();
    const { proxy, options } = await proxied(bed);
    await using _ = proxy;
    await Deno.writeFile(`${bed.dir}/file`, new Uint8Array(8 * MIB));
    await withRunner(transport, options, async (runner) => {
      proxy.faults = { cut: { direction: "toClient", after: 3 * MIB, by } };
      await loss(countBytes(await runner.files.open(`${bed.dir}/file`)));
      proxy.faults = {};
      const job = await runner.read(["head", "-c", String(8 * MIB), "/dev/zero"], { logDir: bed.dir });
      proxy.faults = { cut: { direction: "toClient", after: 3 * MIB, by } };
      await loss(countBytes(job));
      proxy.faults = {};
      assert.equal(await countBytes(await runner.files.open(`${bed.dir}/file`)), 8 * MIB);
    });
  });

  forEachTransport(`leaves no part of a file when the connection is cut (${by})`, async (transport) => {
    await using bed = await SshBed.create();
    const { proxy, options } = await proxied(bed);
    await using _ = proxy;
    await withRunner(transport, options, async (runner) => {
      const writer = await runner.files.create(`${bed.dir}/part`);
      proxy.faults = { cut: { direction: "toServer", after: 3 * MIB, by } };
      await loss((async () => {
        for (let i = 0; i < 200; i++) await writer.write(new Uint8Array(MIB / 8));
        await writer.close();
      })());
      await writer.abort();
      const isGone = () => Deno.stat(`${bed.dir}/part`).then(() => false, () => true);
      await eventually("the node has removed the part", isGone);
    });
  });
}

forEachTransport("notices a peer that is gone without a word", async (transport) => {
  await using bed = await SshBed.create();
  const { proxy, options } = await proxied(bed, { keepalive: 1000 });
  await using _ = proxy;
  await withRunner(transport, options, async (runner) => {
    const job = await runner.read(SLOWLY, { logDir: bed.dir });
    await job.read(new Uint8Array(1000));
    proxy.faults = { stall: { direction: "toClient", after: 0 } };
    const begin = Date.now();
    await loss(countBytes(job));
    assert.ok(Date.now() - begin < 30_000);
  });
});

forEachTransport("lets nothing pile up before a slow reader, nor before a slow link", async (transport) => {
  await using bed = await SshBed.create();
  const { proxy, options } = await proxied(bed);
  await using _ = proxy;
  await withRunner(transport, options, async (runner) => {
    const job = await runner.read(["head", "-c", String(256 * MIB), "/dev/zero"], { logDir: bed.dir });
    await job.read(new Uint8Array(1000));
    await pause(1500);
    assert.ok(proxy.passed.toClient < 16 * MIB, `${proxy.passed.toClient} bytes came`);
    await job.cancel("enough");

    proxy.faults = { bytesPerSecond: MIB };
    const writer = await runner.files.create(`${bed.dir}/file`);
    const { toServer: before } = proxy.passed;
    let given = 0;
    const end = Date.now() + 3000;
    while (Date.now() < end) {
      await writer.write(new Uint8Array(MIB / 4));
      given += MIB / 4;
    }
    const ahead = given - (proxy.passed.toServer - before);
    assert.ok(ahead < 16 * MIB, `${ahead} bytes wait for the link`);
    proxy.faults = {};
    await writer.close();
    assert.equal((await Deno.stat(`${bed.dir}/file`)).size, given);
  });
});

forEachTransport("works on a node that takes two sessions per connection", async (transport) => {
  await using bed = await SshBed.create({ sshd: { MaxSessions: 2 } });
  await withRunner(transport, bed.sshOptions(), async (runner) => {
    const runs = Array.from(
      { length: 6 },
      (_, index) => runner.run(["sh", "-c", `sleep 0.2; echo ${index}`]),
    );
    assert.deepEqual((await Promise.all(runs)).map(({ stdout }) => stdout.trim()), [
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
    ]);
  });
});

/** A node's answers, with bytes that shells like to touch. */
async function answers(transport: Transport, bed: SshBed, user = "root", sudo = false): Promise<string> {
  const target = { ...bed.sshOptions().target, user };
  return await withRunner(transport, bed.sshOptions({ target }), async (runner) => {
    const words = [
      "it's",
      '"',
      "$HOME",
      "!x",
      "a\nb",
      "~",
      "*",
      "\\n",
      "",
      "é",
      "`id`",
      "%s",
      "{a,b}",
      ";",
      "^",
    ];
    const { stdout, stderr } = await runner.run(["printf", "<%s>", ...words]);
    assert.equal(stdout, words.map((word) => `<${word}>`).join(""));
    const job = await runner.read(["sh", "-c", "echo bytes; echo log >&2"], { logDir: bed.dir });
    assert.equal(await readText(job), "bytes\n");
    assert.equal(job.logTail(), "log");
    await runner.run(["pvesh", "get", "/version", "--output-format", "json"]);
    return stderr + (await runner.run(["id", "-un"])).stdout.trim();
  }, { sudo });
}

forEachTransport("is not confused by banners, noise and locale warnings", async (transport) => {
  await using bed = await SshBed.create({
    noise: {
      banner: "Keep out!\n",
      stdout: "Welcome\r\nno newline at the end",
      stderr: "locale: cannot set\n",
    },
    knobs: { localeWarnings: true },
  });
  assert.equal(await answers(transport, bed), "root");
});

for (const shell of ["fish", "csh", "dash", "bash"]) {
  forEachTransport(`works where the login shell is ${shell}`, async (transport) => {
    await using bed = await SshBed.create();
    const startUp = shell === "dash" ? {} : { startUp: "echo hello from a login file" };
    const { name } = await bed.addAccount({ rights: "root", shell, ...startUp });
    assert.equal(await answers(transport, bed, name), "root");
  }, shell);
}

forEachTransport("becomes root by sudo, and says so when it cannot", async (transport) => {
  await using bed = await SshBed.create();
  const admin = await bed.addAccount({ rights: "user", sudo: "all", startUp: "echo hello" });
  assert.equal(await answers(transport, bed, admin.name, true), "root");
  for (const sudo of ["nothing", "password"] as const) {
    const { name } = await bed.addAccount({ rights: "user", sudo, hasPassword: true });
    const error = await answers(transport, bed, name, true).then(() => undefined, (error: unknown) => error);
    assert.ok(error instanceof UserError, Deno.inspect(error));
    assert.match(error.sentence, /^Cannot become root on ".*" by sudo: .*; .*sudoers.*NOPASSWD/);
  }
}, "sudo");
