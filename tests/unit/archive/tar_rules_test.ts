import assert from "node:assert/strict";
import { walkTar } from "../../../src/archive/tar.ts";
import { damageOf, walked } from "./helpers.ts";
import { joinBytes } from "./vma_bytes.ts";

const END = new Uint8Array(1024);
const CONFIG = member({ name: "./etc/vzdump/pct.conf", data: "hostname: web\n" });

interface MemberSpec {
  name?: string;
  type?: string;
  data?: string;
  /** What the size field says; default: the data's length in octal. */
  size?: string;
  /** Default: pax. */
  magic?: string;
  prefix?: string;
}

/** A tar member made by hand, so that each field can be wrong alone. */
function member(
  { name = "./x", type = "0", data = "", size, magic = "ustar\x0000", prefix = "" }: MemberSpec,
) {
  const header = new Uint8Array(512);
  const put = (offset: number, text: string) =>
    header.set(Uint8Array.from(text, (char) => char.charCodeAt(0)), offset);
  put(0, name);
  put(100, "0000644\0");
  put(124, size ?? `${data.length.toString(8).padStart(11, "0")}\0`);
  put(148, "        ");
  put(156, type);
  put(257, magic);
  put(345, prefix);
  put(148, `${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
  const padded = new Uint8Array(Math.ceil(data.length / 512) * 512);
  padded.set(new TextEncoder().encode(data));
  return joinBytes(header, padded);
}

function configOf(...members: Uint8Array[]): string {
  return new TextDecoder().decode(walked(walkTar, joinBytes(...members, END), 1000).config);
}

function messageOf(...members: Uint8Array[]): string {
  return damageOf(walkTar, joinBytes(...members, END), 1000)?.message ?? "";
}

Deno.test("walkTar() finds pct.conf by prefix, long name and pax path", () => {
  const data = "hostname: other\n";
  assert.equal(configOf(member({ prefix: "./etc", name: "vzdump/pct.conf", data })), data);
  const longName = member({
    type: "L",
    name: "././@LongLink",
    data: "./etc/vzdump/pct.conf\0",
    magic: "ustar  \0",
  });
  assert.equal(configOf(longName, member({ name: "./cut", data, magic: "ustar  \0" })), data);
  const pax = member({ type: "x", data: "30 path=./etc/vzdump/pct.conf\n" });
  assert.equal(configOf(pax, member({ name: "./cut", data })), data);
});

Deno.test("walkTar() takes names and sizes of an extended header for the next member only", () => {
  const pax = member({ type: "x", data: "30 path=./etc/vzdump/pct.conf\n" });
  const global = member({ type: "g", data: "30 path=./etc/vzdump/pct.conf\n" });
  assert.equal(configOf(pax, member({ data: "first" }), member({ data: "second" })), "first");
  assert.match(messageOf(global, member({ data: "first" })), /holds no container configuration/);
});

Deno.test("walkTar() takes the size from a pax header, where the field is too small for it", () => {
  const pax = member({ type: "x", data: "11 size=14\n" });
  assert.equal(
    configOf(pax, member({ name: "./etc/vzdump/pct.conf", data: "hostname: web\n", size: "0\0" })),
    "hostname: web\n",
  );
});

Deno.test("walkTar() reads sizes in base 256 and passes over hard links, which have no data", () => {
  const big = "\x80" + "\0".repeat(9) + "\x02\0";
  assert.equal(configOf(member({ data: "y".repeat(512), size: big }), CONFIG), "hostname: web\n");
  assert.equal(configOf(member({ type: "1", size: "00000001000\0" }), CONFIG), "hostname: web\n");
});

Deno.test("walkTar() passes the map blocks of an old GNU sparse member", () => {
  const sparse = member({ type: "S", magic: "ustar  \0", data: "z".repeat(512) });
  sparse[482] = 1;
  // The flag counts in the checksum.
  sparse[153] = (sparse[153] ?? 0) + 1;
  const goesOn = new Uint8Array(512).fill(1);
  const last = new Uint8Array(512).fill(1);
  last[504] = 0;
  const data = sparse.subarray(512);
  assert.equal(configOf(sparse.subarray(0, 512), goesOn, last, data, CONFIG), "hostname: web\n");
});

const REFUSED: Record<string, [Uint8Array[], RegExp]> = {
  "an extended header without a member": [
    [CONFIG, member({ type: "x", data: "11 path=ab\n" })],
    /at byte 2048: an extended header has no member$/,
  ],
  "an extended header that claims too much": [
    [member({ type: "x", size: "77777777777\0" })],
    /at byte 0: an extended header claims 8589934591 bytes$/,
  ],
  "a size that is no number": [
    [member({ size: "12x4\0" })],
    /at byte 124: the size of the tar member is no number$/,
  ],
  "a negative size": [
    [member({ size: "\xff".repeat(12) })],
    /at byte 124: the size of the tar member is no number$/,
  ],
  "a size beyond all numbers": [
    [member({ size: "\x80" + "\x7f".repeat(11) })],
    /at byte 124: the size of the tar member is no number$/,
  ],
  "a pct.conf whose sparse map is wrong": [
    [
      member({ type: "x", data: "22 GNU.sparse.major=1\n41 GNU.sparse.name=./etc/vzdump/pct.conf\n" }),
      member({ data: "5\nx\n" }),
    ],
    /at byte 1536: the sparse map of \.\/etc\/vzdump\/pct\.conf is wrong$/,
  ],
  "a pct.conf that is no file": [
    [member({ type: "5", name: "./etc/vzdump/pct.conf" })],
    /holds no container configuration/,
  ],
};

for (const [what, [members, message]] of Object.entries(REFUSED)) {
  Deno.test(`walkTar() refuses ${what}`, () => assert.match(messageOf(...members), message));
}
