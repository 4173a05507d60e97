import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import {
  fingerprint,
  hostKey,
  isAbout,
  knownHostsLine,
  parseKnownHosts,
} from "../../../../src/runner/ssh/known_hosts.ts";
import { needs } from "../../../needs.ts";
import { ED25519, ED25519_FINGERPRINT, OTHER_ED25519, RSA } from "./keys.ts";

function names(text: string): string[] {
  return parseKnownHosts(text, "file").map((line) => line.patterns);
}

Deno.test("parseKnownHosts() reads markers, several names and comments, and tells where a line stands", () => {
  const text = [
    "# a comment",
    "",
    `pve1,10.0.0.1 ${ED25519} root@pve1 and more`,
    `\t@revoked  *\t${RSA}`,
    `@cert-authority *.example.org ${RSA}`,
  ].join("\r\n");
  const lines = parseKnownHosts(text, "/etc/ssh/ssh_known_hosts");
  assert.deepEqual(lines.map(({ marker, patterns, key, line }) => [marker, patterns, key.type, line]), [
    [undefined, "pve1,10.0.0.1", "ssh-ed25519", 3],
    ["revoked", "*", "ssh-rsa", 4],
    ["cert-authority", "*.example.org", "ssh-rsa", 5],
  ]);
  assert.equal(lines[0]!.file, "/etc/ssh/ssh_known_hosts");
});

Deno.test("parseKnownHosts() passes over broken lines and reads on", () => {
  const broken = [
    "pve1",
    "pve1 ssh-ed25519",
    "pve1 ssh-ed25519 !!!",
    "pve1 ssh-ed25519 AAAA",
    `pve1 ssh-rsa ${ED25519.split(" ")[1]}`, // another type than in the key itself
    `@unknown pve1 ${ED25519}`,
    "pve1 1024 35 1234567890", // SSH 1
    "\0\0\0",
  ];
  assert.deepEqual(names([...broken, `good ${ED25519}`].join("\n")), ["good"]);
});

Deno.test("isAbout() takes wildcards and names in any case", () => {
  assert.ok(isAbout({ patterns: "pve?,*.example.org" }, "pve1"));
  assert.ok(isAbout({ patterns: "pve?,*.Example.org" }, "a.b.example.org"));
  assert.ok(!isAbout({ patterns: "pve?" }, "pve10"));
  assert.ok(!isAbout({ patterns: "pve.1" }, "pvex1"), "a dot is a dot");
  assert.ok(!isAbout({ patterns: "pve1" }, "pve1.example.org"));
});

Deno.test("isAbout() rules a line out when a negated pattern matches, wherever it stands", () => {
  for (const patterns of ["*.example.org,!bad.example.org", "!bad.example.org,*.example.org"]) {
    assert.ok(isAbout({ patterns }, "good.example.org"), patterns);
    assert.ok(!isAbout({ patterns }, "bad.example.org"), patterns);
  }
  assert.ok(!isAbout({ patterns: "!bad" }, "good"), "a negated pattern alone matches nothing");
});

Deno.test("isAbout() keeps hosts with and without a port apart", () => {
  assert.ok(isAbout({ patterns: "[pve1]:2222" }, "[pve1]:2222"));
  assert.ok(!isAbout({ patterns: "pve1" }, "[pve1]:2222"));
  assert.ok(!isAbout({ patterns: "[pve1]:2222" }, "pve1"));
  assert.ok(isAbout({ patterns: "[fd00::1]:2222" }, "[fd00::1]:2222"));
});

Deno.test("isAbout() does not take a broken hashed name for anything", () => {
  for (const patterns of ["|1|", "|1||", "|2|AAAA|AAAA", "|1|AAAA", "|1|AAAA|AAAA|AAAA", "|"]) {
    assert.ok(!isAbout({ patterns }, "pve1"), patterns);
  }
});

Deno.test({
  name: "isAbout() finds the names that ssh-keygen -H hashed",
  ...needs("ssh-keygen"),
  async fn() {
    const dir = await Deno.makeTempDir({ prefix: "known-hosts-test-" });
    try {
      const file = `${dir}/known_hosts`;
      await Deno.writeTextFile(file, `pve1,10.0.0.1 ${ED25519}\n[pve2]:2222 ${ED25519}\nPVE3 ${RSA}\n`);
      const { success } = await new Deno.Command("ssh-keygen", {
        args: ["-q", "-H", "-f", file],
        stderr: "null",
      })
        .output();
      assert.ok(success);
      const text = await Deno.readTextFile(file);
      assert.ok(!text.includes("pve1"), "hashed");
      const lines = parseKnownHosts(text, file);
      const found = (name: string) =>
        lines.filter((line) => isAbout(line, name)).map((line) => line.key.type);
      assert.deepEqual(found("pve1"), ["ssh-ed25519"]);
      assert.deepEqual(found("10.0.0.1"), ["ssh-ed25519"]);
      assert.deepEqual(found("[pve2]:2222"), ["ssh-ed25519"]);
      assert.deepEqual(found("pve3"), ["ssh-rsa"]);
      assert.deepEqual(found("pve2"), []);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test("fingerprint() is what ssh-keygen -l shows", () => {
  const [line] = parseKnownHosts(`pve1 ${ED25519}`, "file");
  assert.equal(fingerprint(line!.key), ED25519_FINGERPRINT);
});

Deno.test("knownHostsLine() makes a line that is read back", () => {
  const [line] = parseKnownHosts(`x ${OTHER_ED25519}`, "file");
  const [again] = parseKnownHosts(knownHostsLine("[pve1]:2222", line!.key), "file");
  assert.equal(again!.patterns, "[pve1]:2222");
  assert.deepEqual(again!.key, line!.key);
});

Deno.test("hostKey() refuses bytes that are no key", () => {
  assert.equal(hostKey(Buffer.alloc(0)), undefined);
  assert.equal(hostKey(Buffer.from([0, 0, 0, 200, 1])), undefined);
  assert.equal(hostKey(Buffer.from([0, 0, 0, 0, 1])), undefined);
  assert.equal(hostKey(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])), undefined);
});
