import assert from "node:assert/strict";
import { MarkedLines, newMarker } from "../../../../src/runner/remote/marked_lines.ts";

const MARKER = newMarker();
const STREAM = `noise without end${MARKER} ready a b\nlog\n\x01 no marker ${
  MARKER.slice(0, 9)
}\n${MARKER} 7\nrest${MARKER}`;

/** What comes out of `bytes` cut at each of `cuts`. */
function taken(bytes: Uint8Array, cuts: number[]): { text: string; lines: string[] } {
  const lines: string[] = [];
  let text = "";
  const decoder = new TextDecoder();
  const stream = new MarkedLines(MARKER, (part) => text += decoder.decode(part), (line) => {
    lines.push(line);
    text += "|";
  });
  for (const [index, cut] of cuts.entries()) stream.push(bytes.subarray(cuts[index - 1] ?? 0, cut));
  stream.push(bytes.subarray(cuts.at(-1) ?? 0));
  stream.end();
  return { text, lines };
}

Deno.test("MarkedLines takes marked lines out wherever the stream is cut", () => {
  const bytes = new TextEncoder().encode(STREAM);
  const whole = taken(bytes, []);
  assert.deepEqual(whole.lines, ["ready a b", "7"]);
  assert.equal(
    whole.text,
    `noise without end|log\n\x01 no marker ${MARKER.slice(0, 9)}\n|rest${MARKER}`,
  );
  for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(taken(bytes, [cut]), whole);
  assert.deepEqual(taken(bytes, [...bytes.keys()]), whole);
});

Deno.test("MarkedLines holds back nothing that cannot be a marker", () => {
  let text = "";
  const stream = new MarkedLines(MARKER, (part) => text += new TextDecoder().decode(part), () => {});
  stream.push(new TextEncoder().encode("a line\n\x01x"));
  assert.equal(text, "a line\n\x01x");
});

Deno.test("MarkedLines keeps no endless line", () => {
  let bytes = 0;
  const stream = new MarkedLines(MARKER, (part) => bytes += part.length, () => assert.fail("no line"));
  const chunk = new TextEncoder().encode(MARKER + "x".repeat(10_000));
  for (let count = 0; count < 20; count++) stream.push(chunk);
  assert.ok(bytes > 100_000);
});
