import assert from "node:assert/strict";
import { LocalRunner } from "../../src/runner/local.ts";
import { runnerContract } from "./runner_contract.ts";
import { commandError } from "./runner_helpers.ts";

runnerContract("local", (limits) => {
  return Promise.resolve({
    runner: new LocalRunner(limits ? { limits } : {}),
    close: () => Promise.resolve(),
    closesPipes: true,
  });
});

Deno.test("local read() and finish() say so and start nothing when the guard cannot prepare its log", async () => {
  const dir = await Deno.makeTempDir({ prefix: "runner-test-" });
  try {
    await Deno.mkdir(`${dir}/bin`);
    // "rm" fails: the guard cannot unlink its log.
    await Deno.writeTextFile(`${dir}/bin/rm`, "#!/bin/sh\necho 'rm: no' >&2\nexit 1\n", { mode: 0o755 });
    const runner = new LocalRunner({ env: { PATH: `${dir}/bin:${Deno.env.get("PATH")}` } });
    const options = { logDir: dir };
    const refusal = /^Cannot run "touch": its log file cannot be prepared \(rm: no\)$/;
    assert.match((await commandError(runner.read(["touch", `${dir}/ran`], options))).message, refusal);
    assert.match((await commandError(runner.finish(["touch", `${dir}/ran`], options))).message, refusal);
    assert.deepEqual(await runner.files.list(dir), ["bin"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
