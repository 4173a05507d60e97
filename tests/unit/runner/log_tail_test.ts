import assert from "node:assert/strict";
import { LogTail, MAX_LINE_BYTES, MAX_TAIL_BYTES } from "../../../src/runner/log_tail.ts";

function linesOf(chunks: (string | number[])[]): string[] {
  const lines: string[] = [];
  const tail = new LogTail((line) => lines.push(line));
  for (const chunk of chunks) {
    tail.push(typeof chunk === "string" ? new TextEncoder().encode(chunk) : Uint8Array.from(chunk));
  }
  tail.end();
  return lines;
}

Deno.test("LogTail cuts lines wherever the chunks are cut", () => {
  const text = "INFO: eins\nINFO: größer\r\n\nlast";
  const lines = ["INFO: eins", "INFO: größer", "", "last"];
  assert.deepEqual(linesOf([text]), lines);
  assert.deepEqual(linesOf([...new TextEncoder().encode(text)].map((byte) => [byte])), lines);
});

Deno.test("LogTail keeps the start of an overlong line, and the next line whole", () => {
  const [long, next] = linesOf(["x".repeat(10 * MAX_LINE_BYTES), "y\nnext"]);
  assert.equal(long, `${"x".repeat(MAX_LINE_BYTES)}…`);
  assert.equal(next, "next");
});

Deno.test("LogTail cuts an overlong line between characters", () => {
  const [long] = linesOf(["x".repeat(MAX_LINE_BYTES - 1), "üü\n"]);
  assert.equal(long, `${"x".repeat(MAX_LINE_BYTES - 1)}…`);
});

Deno.test("LogTail makes text of any bytes", () => {
  assert.deepEqual(linesOf([[0xff, 0x41, 0xc3, 0x0a, 0x42]]), ["\uFFFDA\uFFFD", "B"]);
});

Deno.test("LogTail keeps the last lines within its limit", () => {
  for (const line of ["", "short", "ü".repeat(1000)]) {
    const tail = new LogTail();
    const bytes = new TextEncoder().encode(`${line}\n`);
    for (let count = 0; count < 300_000 / bytes.length; count++) tail.push(bytes);
    tail.push(new TextEncoder().encode("the end\n"));
    const kept = new TextEncoder().encode(tail.toString()).length;
    assert.ok(kept <= MAX_TAIL_BYTES && kept > MAX_TAIL_BYTES - 3000, `${kept} bytes are kept`);
    assert.ok(tail.toString().endsWith(`${line}\nthe end`));
  }
});
