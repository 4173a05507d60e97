import assert from "node:assert/strict";
import meta from "../../deno.json" with { type: "json" };
import { ensureBinary } from "../../scripts/compile.ts";

/** Runs the compiled binary with `env` alone as its environment, in an empty folder. */
async function runBinary(args: string[], env: (folder: string) => Record<string, string> = () => ({})) {
  const binary = await ensureBinary();
  const folder = await Deno.makeTempDir();
  try {
    const output = await new Deno.Command(binary, { args, cwd: folder, clearEnv: true, env: env(folder) })
      .output();
    const left = await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
    const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code: output.code, stdout: stdout ?? "", stderr, left };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("version works from any folder with an empty environment", async () => {
  const { code, stdout, stderr } = await runBinary(["version"]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.ok(stdout.includes(meta.version), stdout);
});

Deno.test("the binary leaves no code cache in TMPDIR, where others could plant one", async () => {
  const { code, left } = await runBinary(["version"], (folder) => ({ TMPDIR: folder, HOME: folder }));
  assert.equal(code, 0);
  assert.deepEqual(left, []);
});

Deno.test("the sha256 file beside the binary fits it", async () => {
  const binary = await ensureBinary();
  const { code } = await new Deno.Command("sha256sum", {
    args: ["--check", "--status", `${binary}.sha256`],
    cwd: binary.replace(/\/[^/]*$/, ""),
  }).output();
  assert.equal(code, 0);
});
