import assert from "node:assert/strict";
import { fillBlocks } from "../../../scripts/docs.ts";

const PART = { file: "README.md", block: "numbers", render: () => "1 2 3" };

Deno.test("fillBlocks() renders a block in its place and twice the same", () => {
  const text = "before\n<!-- generated:numbers -->\nold\n<!-- /generated -->\nafter\n";
  const filled = fillBlocks(text, [PART]);
  assert.equal(filled, "before\n<!-- generated:numbers -->\n\n1 2 3\n\n<!-- /generated -->\nafter\n");
  assert.equal(fillBlocks(filled, [PART]), filled);
});

Deno.test("fillBlocks() refuses a block without a place and a place without a source", () => {
  assert.throws(() => fillBlocks("nothing here", [PART]), /no place for the block "numbers"/);
  const stray = "<!-- generated:other --><!-- /generated -->";
  assert.throws(() => fillBlocks(stray, []), /the block "other": no source/);
});
