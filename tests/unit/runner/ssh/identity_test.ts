import { Buffer } from "node:buffer";
import { createPublicKey, verify } from "node:crypto";
import assert from "node:assert/strict";
import { readIdentity } from "../../../../src/runner/ssh/identity.ts";
import { LIBRARY } from "../../../../src/runner/ssh2.ts";
import { needs } from "../../../needs.ts";

const PASSPHRASE = "two words";

async function withKey(args: string[], test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "identity-test-" });
  try {
    const { success } = await new Deno.Command("ssh-keygen", { args: ["-q", "-f", `${dir}/key`, ...args] })
      .output();
    assert.ok(success);
    await test(`${dir}/key`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

interface Signer {
  sign(data: Buffer, hash?: string): Buffer | Error;
  getPublicPEM(): string;
}

/** Reads the key, signs with it, and has the signature checked with the public half of the `.pub` file. */
async function assertSigns(path: string, passphrase: string | undefined): Promise<void> {
  const { key } = await readIdentity(path, passphrase, LIBRARY);
  assert.ok(key, "read");
  const published = (await Deno.readTextFile(`${path}.pub`)).split(" ")[1];
  assert.equal(Buffer.from(key.getPublicSSH()).toString("base64"), published);
  const hash = key.type === "ssh-ed25519"
    ? undefined
    : key.type === "ecdsa-sha2-nistp384"
    ? "sha384"
    : "sha256";
  const signer = key as unknown as Signer;
  const data = Buffer.from("what is signed");
  const signature = signer.sign(data, hash);
  assert.ok(!(signature instanceof Error), String(signature));
  assert.ok(verify(hash, data, createPublicKey(signer.getPublicPEM()), signature));
}

const TYPES = [["ed25519"], ["rsa", "-b", "2048"], ["ecdsa", "-b", "256"], ["ecdsa", "-b", "384"]] as const;

for (const type of TYPES) {
  for (const format of ["RFC4716", "PEM", "PKCS8"]) {
    Deno.test({
      name: `readIdentity() reads what ssh-keygen -t ${
        type.join(" ")
      } -m ${format} makes, plain and encrypted`,
      ...needs("ssh-keygen"),
      async fn() {
        const make = ["-t", ...type, "-m", format, "-a", "2"];
        await withKey([...make, "-N", ""], async (path) => {
          await assertSigns(path, undefined);
          await assertSigns(path, "a passphrase for other keys");
        });
        await withKey([...make, "-N", PASSPHRASE], async (path) => {
          await assertSigns(path, PASSPHRASE);
          const without = await readIdentity(path, undefined, LIBRARY);
          assert.ok(!without.key && without.problem === "encrypted");
          const wrong = await readIdentity(path, "another", LIBRARY);
          assert.ok(!wrong.key && wrong.problem === "passphrase");
        });
      },
    });
  }
}

Deno.test({
  name: "readIdentity() reads ECDSA keys whose number is shorter or longer in OpenSSH's format",
  ...needs("ssh-keygen"),
  async fn() {
    // Every second number gets a zero byte before it.
    for (let key = 0; key < 6; key++) {
      await withKey(["-t", "ecdsa", "-N", ""], (path) => assertSigns(path, undefined));
    }
  },
});

Deno.test({
  name: "readIdentity() warns of a key that others may read, and says nothing of its content",
  ...needs("ssh-keygen"),
  async fn() {
    await withKey(["-t", "ed25519", "-N", PASSPHRASE, "-a", "2"], async (path) => {
      assert.equal(
        (await readIdentity(path, PASSPHRASE, LIBRARY) as { warning?: string }).warning,
        undefined,
      );
      await Deno.chmod(path, 0o640);
      const { warning } = await readIdentity(path, PASSPHRASE, LIBRARY) as { warning?: string };
      assert.ok(warning?.includes(`"${path}"`) && warning.includes("640"));
      assert.ok(!warning!.includes(PASSPHRASE));
    });
  },
});

Deno.test("readIdentity() tells a missing file from one that is no key", async () => {
  const dir = await Deno.makeTempDir({ prefix: "identity-test-" });
  try {
    const problem = async (content?: string) => {
      if (content !== undefined) await Deno.writeTextFile(`${dir}/key`, content);
      const identity = await readIdentity(`${dir}/key`, undefined, LIBRARY);
      return identity.key ? "none" : identity.problem;
    };
    assert.equal(await problem(), "missing");
    assert.equal(await problem(""), "unreadable");
    assert.equal(await problem("ssh-ed25519 AAAA a public key"), "unreadable");
    assert.equal(
      await problem("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
      "unreadable",
    );
    assert.equal(
      await problem("-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n"),
      "unreadable",
    );
    assert.equal((await readIdentity(dir, undefined, LIBRARY) as { problem?: string }).problem, "unreadable");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
