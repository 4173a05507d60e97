import assert from "node:assert/strict";
import meta from "../../deno.json" with { type: "json" };
import { makePackage } from "../../scripts/package.ts";
import { needs } from "../needs.ts";
import { buildPlakar } from "./tools.ts";

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();

/** Removes a home that plakar's cache process may write to for some seconds more. */
async function removeHome(home: string): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      return await Deno.remove(home, { recursive: true });
    } catch (error) {
      if (tries >= 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

Deno.test({
  name: "the package installs into a fresh plakar, offline, and serves both sides",
  ...needs("go"),
  async fn(t) {
    const plakar = await buildPlakar();
    const home = await Deno.makeTempDir({ prefix: "plakar-proxmox-test-" });
    const folders = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];
    const env = Object.fromEntries(folders.map((key) => [key, home]));
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(plakar, { args, env, stdin: "null" }).output();
      return { code, stdout: decode(stdout), stderr: decode(stderr) };
    };
    try {
      const path = await makePackage(plakar);
      await run("-disable-security-check");

      await t.step("1. It carries the version in its name, and pkg add takes it", async () => {
        assert.ok(path.endsWith(`/dist/proxmox_v${meta.version}_linux_amd64.ptar`), path);
        const added = await run("pkg", "add", path);
        assert.deepEqual([added.code, added.stderr], [0, ""]);
        assert.equal((await run("pkg", "list")).stdout, `proxmox@v${meta.version}`);
      });

      await t.step("2. A source and a destination can be added and are shown", async () => {
        assert.equal((await run("source", "add", "pve", "proxmox://", "all=true")).code, 0);
        assert.match((await run("source", "show", "pve")).stdout, /all: "?true"?\n +location: proxmox:\/\//);
        assert.equal((await run("destination", "add", "pve", "proxmox+backup://localhost")).code, 0);
      });

      await t.step("3. The installed program answers for both, on each protocol", async () => {
        const source = await run("source", "check", "pve");
        assert.deepEqual([source.code, source.stderr], [0, ""]);
        const destination = await run("destination", "check", "pve");
        assert.deepEqual([destination.code, destination.stderr], [0, ""]);
      });

      await t.step("4. A wrong key is refused with the program's own sentence", async () => {
        await run("source", "add", "typo", "proxmox://", "backup_mod=stop");
        const { code, stdout, stderr } = await run("source", "check", "typo");
        assert.equal(code, 1);
        assert.match(stdout + stderr, /Unknown option "backup_mod"; did you mean "backup_mode"\?/);
      });
    } finally {
      await removeHome(home);
    }
  },
});
