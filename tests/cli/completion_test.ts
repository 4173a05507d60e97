import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { makeBed } from "./harness.ts";

/** What a shell says after it has read our script. */
async function ask(shell: string, script: string, text: string): Promise<string[]> {
  const args = shell === "fish" ? ["--no-config", "-c"] : ["-c"];
  const { stdout, stderr } = await new Deno.Command(shell, {
    args: [...args, `${script}\n${text}`],
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(decode(stderr), "");
  return decode(stdout).split(/\s+/).filter(Boolean);
}

Deno.test({
  name: "completion bash completes commands, flags and the words that a flag takes",
  ...needs("bash"),
  async fn() {
    await using bed = await makeBed({});
    const { stdout } = await bed.run(["completion", "bash"]);
    const complete = (...words: string[]) => {
      const set = `COMP_WORDS=(plakar-proxmox ${words.map((word) => `'${word}'`).join(" ")})`;
      const call = `COMP_CWORD=${words.length}\n_plakar_proxmox\necho "\${COMPREPLY[@]}"`;
      return ask("bash", stdout, `${set}\n${call}`);
    };
    assert.deepEqual(await complete("do"), ["doctor"]);
    assert.deepEqual(await complete("cleanup", "--un"), ["--unlock"]);
    assert.deepEqual(await complete("backup", "--backup-mode", "su"), ["suspend"]);
    assert.deepEqual(await complete("completion", "f"), ["fish"]);
    assert.deepEqual(await complete("restore", "--from", ""), [], "files are the shell's own");
  },
});

Deno.test({
  name: "completion fish completes commands, flags and the words that a flag takes",
  ...needs("fish"),
  async fn() {
    await using bed = await makeBed({});
    const { stdout } = await bed.run(["completion", "fish"]);
    const complete = (line: string) => ask("fish", stdout, `complete -C 'plakar-proxmox ${line}'`);
    assert.equal((await complete("do"))[0], "doctor");
    assert.equal((await complete("cleanup --un"))[0], "--unlock");
    assert.equal((await complete("backup --backup-mode su"))[0], "suspend");
  },
});

Deno.test("completion zsh lets zsh run what it prints for bash", async () => {
  await using bed = await makeBed({});
  const [zsh, bash] = [await bed.run(["completion", "zsh"]), await bed.run(["completion", "bash"])];
  assert.ok(zsh.stdout.endsWith(bash.stdout));
  assert.match(zsh.stdout, /^autoload -Uz bashcompinit && bashcompinit$/m);
});

Deno.test("completion refuses a shell that it does not know", async () => {
  await using bed = await makeBed({});
  const { status, stderr } = await bed.run(["completion", "tcsh"]);
  assert.equal(status, 2);
  assert.match(stderr, /bash, zsh, fish/);
});
