import assert from "node:assert/strict";
import { printable } from "../../../src/cli/terminal.ts";

Deno.test("printable() leaves the texts of all languages alone", () => {
  for (const text of ["", "web-1", "Größe 1 €", "日本語", "שלום", "\u{1f600}", 'a "b" \\c']) {
    assert.equal(printable(text), text);
  }
});

Deno.test("printable() makes visible what steers a terminal", () => {
  const steering = [
    ..."\0\x07\b\t\n\r\x1b\x7f\x80\x85\x9b\x9f",
    ..."\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
  ];
  for (const char of steering) {
    const shown = printable(`a${char}b`);
    assert.match(shown, /^a\\[\w]+b$/, JSON.stringify(char));
    assert.ok(shown.toLowerCase().includes(char.codePointAt(0)!.toString(16)), "the character can be told");
  }
});

Deno.test("printable() leaves no escape sequence whole", () => {
  assert.equal(/\p{Cc}/u.test(printable("\x1b]0;title\x07\x1b[2J\r\n\x9b31m")), false);
});

Deno.test("printable() keeps a JSON line the JSON it was", () => {
  const value = { name: "a\u202eb", log: "\x1b[31m\n\x7f\x85\u2066", path: "C:\\x" };
  assert.deepEqual(JSON.parse(printable(JSON.stringify(value))), value);
});
