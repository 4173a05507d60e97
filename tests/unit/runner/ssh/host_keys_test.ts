import assert from "node:assert/strict";
import {
  hostKeyAlgorithms,
  type HostKeyQuestion,
  type HostKeyVerdict,
  judgeHostKey,
} from "../../../../src/runner/ssh/host_keys.ts";
import { type HostKey, parseKnownHosts } from "../../../../src/runner/ssh/known_hosts.ts";
import { hostNames } from "../../../../src/runner/ssh/names.ts";
import {
  ECDSA,
  ED25519,
  ED25519_FINGERPRINT,
  OTHER_ED25519,
  OTHER_ED25519_FINGERPRINT,
  RSA,
} from "./keys.ts";

interface Case {
  known?: string[];
  hostKeyCheck?: "accept-new" | "strict" | "off";
  fingerprint?: string;
  port?: number;
  alias?: string;
}

function question({ known = [], hostKeyCheck = "accept-new", fingerprint, port = 22, alias }: Case) {
  const target = { host: "PVE1", port, user: "root", ...(alias && { hostKeyAlias: alias }) };
  const trust = { hostKeyCheck, recordIn: "/ours", ...(fingerprint && { fingerprint }) };
  return {
    label: "root@pve1",
    names: hostNames(target),
    trust,
    known: parseKnownHosts(known.join("\n"), "/users"),
  } satisfies HostKeyQuestion;
}

function key(text: string): HostKey {
  return parseKnownHosts(`x ${text}`, "")[0]!.key;
}

function judge(which: Case, shown = ED25519): HostKeyVerdict {
  return judgeHostKey(question(which), key(shown));
}

/** The refusal's sentence. */
function refusal(which: Case, shown = ED25519): string {
  const verdict = judge(which, shown);
  assert.ok(!verdict.isAccepted, "refused");
  assert.equal(verdict.error.kind, "unreachable");
  return verdict.error.sentence;
}

Deno.test("judgeHostKey() takes a recorded key without a word, whatever host_key_check says", () => {
  for (const hostKeyCheck of ["accept-new", "strict", "off"] as const) {
    const known = [`pve1 ${RSA}`, `pve1 ${OTHER_ED25519}`, `pve1 ${ED25519}`];
    assert.deepEqual(judge({ hostKeyCheck, known }), { isAccepted: true, isKnown: true });
  }
});

Deno.test("judgeHostKey() records an unknown key and says so, with accept-new", () => {
  const verdict = judge({ known: [`pve2 ${OTHER_ED25519}`], port: 2222 });
  assert.ok(verdict.isAccepted);
  assert.equal(verdict.isKnown, false);
  assert.equal(verdict.record, `[pve1]:2222 ${ED25519}`);
  assert.match(verdict.say!, /"root@pve1".*"\/ours"/);
  assert.ok(verdict.say!.includes(ED25519_FINGERPRINT));
});

Deno.test("judgeHostKey() refuses an unknown key with strict, and tells the line to add", () => {
  const sentence = refusal({ hostKeyCheck: "strict" });
  assert.ok(sentence.includes(ED25519_FINGERPRINT));
  assert.ok(sentence.includes(`"pve1 ${ED25519}"`));
  assert.ok(sentence.includes('"/ours"'));
});

Deno.test("judgeHostKey() takes an unknown key with off, warns, records nothing and does not call it known", () => {
  const verdict = judge({ hostKeyCheck: "off" });
  assert.ok(verdict.isAccepted);
  assert.equal(verdict.isKnown, false);
  assert.equal(verdict.record, undefined);
  assert.match(verdict.say!, /host_key_check is "off"/);
});

Deno.test("judgeHostKey() refuses a changed key with both fingerprints and what to do", () => {
  for (const hostKeyCheck of ["accept-new", "strict"] as const) {
    const sentence = refusal({
      hostKeyCheck,
      known: [`# a comment`, `[pve1]:2222 ${OTHER_ED25519}`],
      port: 2222,
    });
    assert.ok(sentence.includes(ED25519_FINGERPRINT));
    assert.ok(sentence.includes(OTHER_ED25519_FINGERPRINT));
    assert.match(sentence, /"\/users" line 2/);
    assert.match(sentence, /ssh-keygen -R "\[pve1\]:2222" -f "\/users"/);
  }
});

Deno.test("judgeHostKey() takes another type of key than the recorded one for a change, as OpenSSH does", () => {
  assert.match(refusal({ known: [`pve1 ${ECDSA}`] }), /has changed.*ecdsa-sha2-nistp256.*ssh-ed25519/);
});

Deno.test("judgeHostKey() goes on with a changed key only with off, and warns", () => {
  const verdict = judge({ hostKeyCheck: "off", known: [`pve1 ${OTHER_ED25519}`] });
  assert.ok(verdict.isAccepted && !verdict.isKnown && verdict.say);
});

Deno.test("judgeHostKey() always refuses a revoked key, recorded or pinned or unchecked", () => {
  const known = [`pve1 ${ED25519}`, `@revoked * ${ED25519}`];
  assert.match(refusal({ known }), /revoked in "\/users" line 2/);
  assert.match(refusal({ known, hostKeyCheck: "off" }), /revoked/);
  assert.match(refusal({ known, fingerprint: ED25519_FINGERPRINT }), /revoked/);
  assert.ok(judge({ known: [`pve1 ${ED25519}`, `@revoked * ${RSA}`] }).isAccepted, "another one is revoked");
});

Deno.test("judgeHostKey() refuses a host of which only a certificate authority is known", () => {
  const known = [`@cert-authority *,!pve9 ${RSA}`];
  assert.match(refusal({ known }), /certificate authority.*not supported.*ssh_transport=openssh/);
  assert.ok(judge({ known: [...known, `pve1 ${ED25519}`] }).isAccepted, "its own key is known too");
});

Deno.test("judgeHostKey() does not take an authority's key for a host's own", () => {
  refusal({ known: [`@cert-authority pve1 ${ED25519}`] });
});

Deno.test("judgeHostKey() takes the pinned key only, whatever the files say", () => {
  const known = [`pve1 ${OTHER_ED25519}`];
  const pinned = { known, hostKeyCheck: "strict", fingerprint: ED25519_FINGERPRINT } as const;
  assert.deepEqual(judge(pinned), { isAccepted: true, isKnown: true });
  const sentence = refusal(pinned, OTHER_ED25519);
  assert.ok(sentence.includes(ED25519_FINGERPRINT) && sentence.includes(OTHER_ED25519_FINGERPRINT));
  refusal({ hostKeyCheck: "off", fingerprint: ED25519_FINGERPRINT }, OTHER_ED25519);
});

Deno.test("judgeHostKey() compares the pin strictly", () => {
  const bare = ED25519_FINGERPRINT.slice("SHA256:".length);
  for (const fingerprint of [bare, `${ED25519_FINGERPRINT}=`, ED25519_FINGERPRINT.toLowerCase()]) {
    refusal({ fingerprint });
  }
});

Deno.test("judgeHostKey() takes a key known for the bare host on another port, as OpenSSH does", () => {
  assert.deepEqual(judge({ port: 2222, known: [`pve1 ${ED25519}`] }), { isAccepted: true, isKnown: true });
  const other = judge({ port: 2222, known: [`pve1 ${OTHER_ED25519}`] });
  assert.ok(other.isAccepted && other.record, "another key of the bare host says nothing about this port");
  refusal({ port: 2222, known: [`pve1 ${ED25519}`, `[pve1]:2222 ${OTHER_ED25519}`] });
});

Deno.test("judgeHostKey() looks up the alias instead of host and port", () => {
  const known = [`pve-a ${ED25519}`, `[pve1]:2222 ${OTHER_ED25519}`];
  assert.deepEqual(judge({ port: 2222, alias: "pve-a", known }), { isAccepted: true, isKnown: true });
});

Deno.test("hostKeyAlgorithms() asks first for the types that are recorded", () => {
  const first = (which: Case) => hostKeyAlgorithms(question(which))[0];
  assert.equal(first({}), "ssh-ed25519");
  assert.equal(first({ known: [`pve1 ${ECDSA}`] }), "ecdsa-sha2-nistp256");
  assert.equal(first({ known: [`pve1 ${RSA}`] }), "rsa-sha2-512");
  assert.equal(first({ known: [`pve1 ${RSA}`, `pve1 ${ED25519}`] }), "ssh-ed25519");
  assert.equal(first({ known: [`pve2 ${RSA}`, `@cert-authority * ${RSA}`] }), "ssh-ed25519");
  assert.equal(first({ port: 2222, known: [`pve1 ${RSA}`] }), "rsa-sha2-512");
  assert.equal(first({ port: 2222, known: [`pve1 ${RSA}`, `[pve1]:2222 ${ECDSA}`] }), "ecdsa-sha2-nistp256");
});

Deno.test("hostKeyAlgorithms() asks first for the pinned key's type where a file tells it", () => {
  const known = [`pve1 ${RSA}`, `pve1 ${ED25519}`];
  const algorithms = hostKeyAlgorithms(question({ known, fingerprint: ED25519_FINGERPRINT }));
  assert.equal(algorithms[0], "ssh-ed25519");
});

Deno.test("hostKeyAlgorithms() offers every type once and never SHA-1", () => {
  const algorithms = hostKeyAlgorithms(question({ known: [`pve1 ${RSA}`] }));
  assert.equal(new Set(algorithms).size, algorithms.length);
  assert.equal(algorithms.length, hostKeyAlgorithms(question({})).length);
  assert.ok(!algorithms.includes("ssh-rsa"));
});
