import assert from "node:assert/strict";
import plugin, { importViolation, OWNED_MEMBERS, ROOMS } from "../../../scripts/layers.ts";
import { ROOT } from "../../../scripts/run.ts";

/** What the rules say about `source` as the file `path` of this project. */
function messages(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, `${ROOT}/${path}`, source).map((diagnostic) => diagnostic.message);
}

Deno.test("layers takes every allowed import and refuses every other one, with the reason", () => {
  for (const [room, { imports, reason }] of Object.entries(ROOMS)) {
    const from = room === "main.ts" ? "main.ts" : `src/${room}/a.ts`;
    for (const other of Object.keys(ROOMS).filter((name) => name !== "main.ts")) {
      const specifier = room === "main.ts" ? `./src/${other}/b.ts` : `../${other}/b.ts`;
      const [message] = messages(from, `import { b } from "${specifier}";\nb();\n`);
      if (other === room || imports.includes(other)) assert.equal(message, undefined, `${room} -> ${other}`);
      else assert.ok(message?.includes(reason), `${room} -> ${other}: ${message}`);
    }
  }
});

Deno.test("layers sees every way of naming a module", () => {
  const ways = [
    `import type { B } from "../store/b.ts";`,
    `import "../store/b.ts";`,
    `export * from "../store/b.ts";`,
    `export { b } from "../store/b.ts";`,
    `export type B = import("../store/b.ts").B;`,
    `export const b = () => import("../store/b.ts");`,
    `export const b = new URL("../store/b.ts", import.meta.url);`,
  ];
  for (const way of ways) assert.equal(messages("src/core/a.ts", way).length, 1, way);
});

Deno.test("layers refuses files outside the rooms and modules outside the project", () => {
  assert.match(importViolation("src/stray.ts", "./core/a.ts") ?? "", /belongs to no room/);
  assert.match(importViolation("src/core/a.ts", "../../scripts/run.ts") ?? "", /must not import/);
  assert.match(importViolation("src/cli/a.ts", "jsr:@std/path") ?? "", /comes from npm/);
  assert.match(importViolation("src/runner/local.ts", "node:child_process") ?? "", /local runner/);
  assert.equal(importViolation("main.ts", "./deno.json"), undefined);
  assert.equal(importViolation("tests/unit/a_test.ts", "../../src/core/a.ts"), undefined);
});

Deno.test("owners lets only the owner use a thing, however it is written", () => {
  const uses: Record<string, string> = {
    "src/runner/spawn.ts": `new Deno.Command("true");`,
    "main.ts": `Deno.exit(1);`,
    "src/rpc/stdio.ts": `export const wire = Deno.stdin;`,
    "src/cli/terminal.ts": `export const { stdout } = Deno;`,
    "src/runner/ssh2.ts": `export { Client } from "npm:ssh2@1.17.0";`,
  };
  for (const [owner, source] of Object.entries(uses)) {
    assert.deepEqual(messages(owner, source), []);
    assert.equal(messages("src/backup/a.ts", source).length, 1, source);
  }
  assert.equal(messages("src/core/a.ts", `Deno["exit"](1);`).length, 1);
  assert.equal(messages("tests/cli/a_test.ts", `new Deno.Command("true");`).length, 0);
  assert.ok(OWNED_MEMBERS.every((owner) => owner.reason.length > 0));
});

Deno.test("sizes refuses files and functions past their hard limit and takes those at it", () => {
  const lines = (count: number) => `// é\n`.repeat(count);
  assert.equal(messages("src/core/a.ts", lines(400)).length, 0);
  assert.equal(messages("src/core/a.ts", lines(401)).length, 1);
  assert.equal(messages("tests/unit/a_test.ts", lines(500)).length, 0);
  assert.equal(messages("tests/unit/a_test.ts", lines(501)).length, 1);
  const body = (count: number) => `export function f(): void {\n${lines(count - 2)}}\n`;
  assert.equal(messages("src/core/a.ts", `// ééééé\n${body(60)}`).length, 0);
  assert.match(messages("src/core/a.ts", `// ééééé\n${body(61)}`)[0] ?? "", /function has 61 lines/);
});

Deno.test("deno lint reports a violating tree with file, line and reason", async () => {
  const tree = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${tree}/scripts`);
    await Deno.mkdir(`${tree}/src/core`, { recursive: true });
    await Deno.copyFile(`${ROOT}/scripts/layers.ts`, `${tree}/scripts/layers.ts`);
    await Deno.writeTextFile(`${tree}/deno.json`, `{ "lint": { "plugins": ["./scripts/layers.ts"] } }`);
    await Deno.writeTextFile(`${tree}/src/core/a.ts`, `// first\nexport { b } from "../cli/b.ts";\n`);
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["lint", "--json"],
      cwd: tree,
      stderr: "null",
    }).output();
    const { diagnostics } = JSON.parse(new TextDecoder().decode(stdout));
    assert.equal(code, 1);
    assert.equal(diagnostics.length, 1);
    assert.match(diagnostics[0].filename, /src\/core\/a\.ts$/);
    assert.equal(diagnostics[0].range.start.line, 2);
    assert.match(diagnostics[0].message, /"core" must not import "cli": the common words stand on nothing/);
  } finally {
    await Deno.remove(tree, { recursive: true });
  }
});
