import assert from "node:assert/strict";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { FaultyChannels } from "./faulty_channels.ts";
import { type Bench, commandError, fileText, isAlive, until, withBench } from "./runner_helpers.ts";

/** Notes how it ends, and whether it was told that its input is whole. */
const TOOL = `trap 'echo TERM >>"$1"; exit 9' TERM
echo ready; echo $$ >"$1.pid"; exec 7<&0; { cat >/dev/null; echo EOF >>"$1"; } <&7 & while :; do wait $!; sleep 0.1; done`;

function over(channels: FaultyChannels, body: (bench: Bench) => Promise<void>): () => Promise<void> {
  const runner = new ShellRunner(channels);
  return () => withBench(() => Promise.resolve({ runner, close: () => runner.close() }), body);
}

/** Waits for the tool to be gone, and answers what it noted. */
async function noted(dir: string): Promise<string> {
  await until("the tool is gone", () => !isAlive(Number(fileText(`${dir}/events.pid`))));
  return fileText(`${dir}/events`);
}

const whole = new FaultyChannels();
Deno.test(
  "remote feed() rejects when the connection is lost, and the tool is killed without an end of its input",
  over(whole, async ({ runner, dir, script }) => {
    const sink = await runner.feed([...await script(TOOL), `${dir}/events`], { logDir: dir });
    await sink.write(new Uint8Array(100_000));
    await until("the tool is at work", () => fileText(`${dir}/events.pid`) !== "");
    whole.lose();
    const error = await commandError((async () => {
      for (;;) await sink.write(new Uint8Array(100_000));
    })());
    assert.equal(error.reason, "connection");
    assert.match(error.message, /lost the connection to "root@pve1": reset by peer$/);
    assert.equal(await noted(dir), "TERM\n");
  }),
);

for (const bytes of [150_000, 250_000]) {
  Deno.test(
    `remote feed() kills the tool when the way of its input alone is lost, ${bytes} bytes written`,
    over(new FaultyChannels({ input: 200_000 }), async ({ runner, dir, script }) => {
      const sink = await runner.feed([...await script(TOOL), `${dir}/events`], { logDir: dir });
      await until("the tool is at work", () => fileText(`${dir}/events.pid`) !== "");
      const error = await commandError((async () => {
        for (let written = 0; written < bytes; written += 50_000) await sink.write(new Uint8Array(50_000));
        if (bytes > 200_000) await sink.end();
        else for (;;) await sink.write(new Uint8Array(50_000));
      })());
      assert.equal(error.reason, "stopped");
      assert.match(error.message, /lost the connection/i);
      assert.equal(await noted(dir), "TERM\n");
    }),
  );
}

const late = new FaultyChannels();
Deno.test(
  "remote feed() rejects when the connection is lost behind the end of the input, and the tool is left to finish",
  over(late, async ({ runner, dir, script }) => {
    const tool = await script(`cat >/dev/null; echo $$ >${dir}/events.pid
      while [ ! -e ${dir}/go ]; do sleep 0.1; done; echo done >${dir}/events`);
    const sink = await runner.feed(tool, { logDir: dir });
    await sink.write(new Uint8Array(100_000));
    const ending = commandError(sink.end());
    await until("the tool has all", () => fileText(`${dir}/events.pid`) !== "");
    late.lose();
    assert.equal((await ending).reason, "connection");
    await Deno.writeTextFile(`${dir}/go`, "");
    assert.equal(await noted(dir), "done\n");
  }),
);
