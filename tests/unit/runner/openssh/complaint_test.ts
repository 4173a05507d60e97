import assert from "node:assert/strict";
import { complaint } from "../../../../src/runner/openssh/complaint.ts";

const RULE = "@".repeat(59);

const CASES: [what: string, said: string, sentence: RegExp][] = [
  [
    "a changed host key",
    `${RULE}
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
${RULE}
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
The fingerprint for the ED25519 key sent by the remote host is
SHA256:F50A9C7zr.
Please contact your system administrator.
Offending RSA key in /root/.ssh/known_hosts:7
Host key for pve1 has changed and you have requested strict checking.
Host key verification failed.`,
    /^Cannot trust "root@pve1": its host key has changed to "SHA256:F50A9C7zr" \(ED25519\); the old one stands in "\/root\/\.ssh\/known_hosts" line 7; somebody/,
  ],
  [
    "an unknown host key",
    "No ED25519 host key is known for pve1 and you have requested strict checking.\nHost key verification failed.",
    /^Cannot trust "root@pve1": its ED25519 host key is not known; log in once/,
  ],
  [
    "a host key that is not the pinned one",
    "not the pinned host key: ssh-ed25519 SHA256:abc\nNo ED25519 host key is known for pve1 and you have requested strict checking.",
    /^Cannot trust "root@pve1": its ssh-ed25519 host key "SHA256:abc" is not the one of host_key_fingerprint; compare/,
  ],
  [
    "a refused login",
    "Keep out\nroot@pve1: Permission denied (publickey,password).",
    /^Cannot log in to "root@pve1": no key was accepted \(the node takes publickey, password\); add/,
  ],
  [
    "too many keys",
    "Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures",
    /^Cannot log in to "root@pve1": too many keys .*; pass conn_identity_file with conn_method=identity$/,
  ],
  [
    "an unknown name",
    "ssh: Could not resolve hostname pve1: Name or service not known",
    /^Cannot reach "root@pve1": the name "pve1" is not known; check the name/,
  ],
  [
    "a closed port",
    "ssh: connect to host pve1 port 22: Connection refused",
    /^Cannot reach "root@pve1": connection refused; check the address/,
  ],
  [
    "a silent port",
    "Connection timed out during banner exchange\nConnection to 192.0.2.1 port 22 timed out",
    /^Cannot reach "root@pve1": no SSH server answered in time; check/,
  ],
  [
    "a silent peer",
    "Timeout, server pve1 not responding.",
    /^Lost the connection to "root@pve1": no sign of life any more$/,
  ],
  [
    "a wrong configuration",
    "/root/.ssh/config: line 3: Bad configuration option: prxyjump\n/root/.ssh/config: terminating, 1 bad configuration options",
    /^Cannot use ssh to reach "root@pve1": \/root\/\.ssh\/config: line 3: Bad configuration option: prxyjump$/,
  ],
  [
    "anything else",
    "first\nConnection to pve1 closed by remote host.",
    /^Lost the connection to "root@pve1": connection to pve1 closed by remote host$/,
  ],
  ["nothing", "", /^Lost the connection to "root@pve1"$/],
];

for (const [what, said, sentence] of CASES) {
  Deno.test(`complaint() understands ${what}`, () => {
    for (const ending of ["\n", "\r\n"]) {
      const error = complaint("root@pve1", said.replaceAll("\n", ending));
      assert.match(error.sentence, sentence);
      assert.equal(error.kind, "unreachable");
    }
  });
}
