import assert from "node:assert/strict";
import { plain, table } from "../../../scripts/markdown.ts";

Deno.test("table() keeps a bar inside a cell from ending it", () => {
  assert.equal(table(["a", "b"], [[1, "x|y"]]), "| a | b |\n| --- | --- |\n| 1 | x\\|y |");
});

Deno.test("plain() keeps stars and angle brackets from becoming markup", () => {
  assert.equal(plain("* and ? in <DIR>"), "\\* and ? in \\<DIR>");
});
