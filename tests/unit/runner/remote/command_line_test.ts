import assert from "node:assert/strict";
import { quoteWords } from "../../../../src/core/shell_words.ts";
import { commandLine, programLine } from "../../../../src/runner/remote/command_line.ts";
import { needs } from "../../../needs.ts";

/** What `shell` says when it is given the command line and `program` on stdin, then `rest`. */
async function runBy(shell: string, program: string, rest = ""): Promise<string> {
  const child = new Deno.Command(shell, {
    args: ["-c", commandLine(false)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(programLine(program));
  if (rest !== "") await writer.write(new TextEncoder().encode(rest));
  await writer.close();
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(stdout);
}

// Whatever a shell may take for its own.
const SPECIAL = [..." \t\n\r'\"`$\\!#&|;<>(){}[]*?~^%=-+,.:@/aä€\u{1f600}\x01\x7f"];

/** Words of special characters, the same in each run. */
function words(count: number): string[] {
  let seed = 1;
  const next = (limit: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % limit;
  };
  return Array.from(
    { length: count },
    () => Array.from({ length: next(12) }, () => SPECIAL[next(SPECIAL.length)]).join(""),
  );
}

for (const shell of ["sh", "dash", "bash", "zsh", "mksh", "csh", "tcsh", "fish"]) {
  Deno.test({
    name: `commandLine() brings any words unchanged through ${shell} as login shell`,
    ...needs(shell),
    async fn() {
      const sent = ["", "-n", "--", "'", "$(id)", ...words(300)];
      const printed = await runBy(shell, `set -- ${quoteWords(sent)}\nprintf '%s\\0' "$@"`);
      assert.deepEqual(printed.split("\0").slice(0, -1), sent);
    },
  });
}

Deno.test("commandLine() leaves the rest of stdin to the program, and takes long programs", async () => {
  const padding = `# ${"x".repeat(300_000)}\n`;
  assert.equal(await runBy("sh", `${padding}exec cat`, "one\ntwo"), "one\ntwo");
});

Deno.test("commandLine() has no character that csh or fish read in another way", () => {
  assert.doesNotMatch(commandLine(true), /[!\\\n]/);
  assert.ok(commandLine(true).length < 1000);
});

Deno.test("programLine() refuses what no shell could hold", () => {
  assert.throws(() => programLine("echo \0"), TypeError);
});
