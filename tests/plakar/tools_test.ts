import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { buildPlakar, buildSharedTool, hasSharedTool, PLAKAR_VERSION } from "./tools.ts";

async function run(program: string, args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test({
  name: "buildPlakar() gives the real plakar of the version that the tests are for",
  ...needs("go"),
  async fn() {
    const plakar = await buildPlakar();
    const home = await Deno.makeTempDir({ prefix: "plakar-proxmox-test-" });
    try {
      // Plakar greets the user of a new home before anything else.
      const env = Object.fromEntries(
        ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"].map((key) => [key, home]),
      );
      const { code, stdout } = await run(plakar, ["version"], env);
      assert.equal(code, 0);
      assert.equal(stdout.trimEnd().split("\n").at(-1), `plakar/${PLAKAR_VERSION}`);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
});

if (hasSharedTool("plugdrive")) {
  Deno.test({
    name: "buildSharedTool() gives a program that starts",
    ...needs("go"),
    async fn() {
      const { code, stderr } = await run(await buildSharedTool("plugdrive"), ["no-such-command"]);
      assert.equal(code, 2);
      assert.match(stderr, /usage: plugdrive/);
      await buildSharedTool("streamplug");
    },
  });
}
