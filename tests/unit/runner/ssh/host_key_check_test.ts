import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { UserError } from "../../../../src/core/errors.ts";
import type { SshOptions, SshTrust } from "../../../../src/runner/remote/ssh_target.ts";
import { HostKeyCheck } from "../../../../src/runner/ssh/host_key_check.ts";
import { ED25519, ED25519_FINGERPRINT, OTHER_ED25519 } from "./keys.ts";

function blob(text: string): Buffer {
  return Buffer.from(text.split(" ")[1]!, "base64");
}

/** A host name that no other test of this process has seen. */
function newHost(): string {
  return `pve-${crypto.randomUUID()}`;
}

async function inFolder(
  test: (
    check: (host: string, trust?: Partial<SshTrust>) => Promise<HostKeyCheck>,
    place: Place,
  ) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "host-key-check-test-" });
  const said: string[] = [];
  const file = `${dir}/known_hosts`;
  const check = (host: string, trust: Partial<SshTrust> = {}) => {
    const options = {
      target: { host, port: 22, user: "root" },
      trust: { hostKeyCheck: "accept-new", recordIn: file, ...trust },
      say: (text: string) => said.push(text),
    };
    return HostKeyCheck.prepare(options as unknown as SshOptions, undefined);
  };
  try {
    await test(check, { file, said });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

interface Place {
  file: string;
  said: string[];
}

async function recorded(file: string): Promise<string> {
  return await Deno.readTextFile(file).catch(() => "");
}

Deno.test("HostKeyCheck records a new key only when told that the machine has proved it, and says so", () =>
  inFolder(async (check, { file, said }) => {
    const host = newHost();
    const hostKeys = await check(host);
    assert.ok(hostKeys.accepts(blob(ED25519)));
    assert.equal(await recorded(file), "");
    await hostKeys.record();
    assert.equal(await recorded(file), `${host} ${ED25519}\n`);
    assert.equal(said.length, 1);
    assert.ok(said[0]!.includes(ED25519_FINGERPRINT));
  }));

Deno.test("HostKeyCheck calls a key known in a later run, never in the run that saw it first", () =>
  inFolder(async (check, { file }) => {
    const host = newHost();
    for (let connection = 0; connection < 2; connection++) {
      const hostKeys = await check(host);
      assert.ok(hostKeys.accepts(blob(ED25519)));
      await hostKeys.record();
      assert.equal(hostKeys.isKnown, false);
    }
    const early = newHost();
    await Deno.writeTextFile(file, `${early} ${ED25519}\n`);
    const hostKeys = await check(early);
    assert.equal(hostKeys.isKnown, false, "not before a key was shown");
    assert.ok(hostKeys.accepts(blob(ED25519)));
    assert.equal(hostKeys.isKnown, true);
  }));

Deno.test("HostKeyCheck calls a pinned key known at once", () =>
  inFolder(async (check, { file }) => {
    const hostKeys = await check(newHost(), { fingerprint: ED25519_FINGERPRINT });
    assert.ok(hostKeys.accepts(blob(ED25519)));
    await hostKeys.record();
    assert.equal(hostKeys.isKnown, true);
    assert.equal(await recorded(file), "");
  }));

Deno.test("HostKeyCheck holds on to the key of a connection when keys are renewed", () =>
  inFolder(async (check) => {
    const hostKeys = await check(newHost());
    assert.ok(hostKeys.accepts(blob(ED25519)));
    assert.ok(hostKeys.accepts(blob(ED25519)));
    assert.ok(!hostKeys.accepts(blob(OTHER_ED25519)));
  }));

Deno.test("HostKeyCheck refuses bytes that are no key", () =>
  inFolder(async (check) => {
    const hostKeys = await check(newHost(), { hostKeyCheck: "off" });
    assert.ok(!hostKeys.accepts(Buffer.from("nothing")));
    assert.equal(hostKeys.error?.kind, "unreachable");
    assert.equal(hostKeys.isKnown, false);
  }));

Deno.test("HostKeyCheck does not go on when a new key cannot be recorded", () =>
  inFolder(async (check) => {
    const hostKeys = await check(newHost(), { recordIn: "/proc/none/known_hosts" });
    assert.ok(hostKeys.accepts(blob(ED25519)));
    await assert.rejects(hostKeys.record(), (error) => {
      return error instanceof UserError && /"\/proc\/none\/known_hosts"/.test(error.message);
    });
  }));
