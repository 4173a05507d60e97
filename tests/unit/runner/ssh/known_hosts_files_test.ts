import assert from "node:assert/strict";
import { UserError } from "../../../../src/core/errors.ts";
import { readKnownHosts, recordHostKey } from "../../../../src/runner/ssh/known_hosts_files.ts";
import { ED25519, RSA } from "./keys.ts";

async function inFolder(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "known-hosts-test-" });
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function mode(path: string): Promise<number> {
  return (await Deno.stat(path)).mode! & 0o777;
}

Deno.test("readKnownHosts() reads the user's files, ours and the system's", () =>
  inFolder(async (dir) => {
    await Deno.mkdir(`${dir}/.ssh`);
    await Deno.writeTextFile(`${dir}/.ssh/known_hosts`, `a ${ED25519}\n`);
    await Deno.writeTextFile(`${dir}/.ssh/known_hosts2`, `b ${ED25519}\n`);
    await Deno.writeTextFile(`${dir}/ours`, `c ${ED25519}\n`);
    await Deno.writeTextFile(`${dir}/system`, `d ${ED25519}\n`);
    const names = async (trust: { knownHosts?: string }) => {
      const known = await readKnownHosts({ recordIn: `${dir}/ours`, ...trust }, dir, [`${dir}/system`]);
      return known.map((line) => line.patterns).sort();
    };
    assert.deepEqual(await names({}), ["a", "b", "c", "d"]);
    await Deno.writeTextFile(`${dir}/given`, `e ${ED25519}\n`);
    assert.deepEqual(await names({ knownHosts: `${dir}/given` }), ["c", "d", "e"]);
    assert.deepEqual(await names({ knownHosts: `${dir}/ours` }), ["c", "d"], "each file once");
  }));

Deno.test("readKnownHosts() knows nobody where there are no files", () =>
  inFolder(async (dir) => {
    assert.deepEqual(await readKnownHosts({ recordIn: `${dir}/ours` }, undefined, [`${dir}/system`]), []);
  }));

Deno.test("readKnownHosts() refuses a file that was named and is not there", () =>
  inFolder(async (dir) => {
    const reading = readKnownHosts({ recordIn: `${dir}/ours`, knownHosts: `${dir}/none` }, dir, []);
    await assert.rejects(reading, (error) => {
      return error instanceof UserError && error.kind === "usage" && error.message.includes(`"${dir}/none"`);
    });
  }));

Deno.test("recordHostKey() makes file and folder for the user alone", () =>
  inFolder(async (dir) => {
    assert.equal(await recordHostKey(`${dir}/a/b/known_hosts`, `pve1 ${ED25519}`), true);
    assert.equal(await Deno.readTextFile(`${dir}/a/b/known_hosts`), `pve1 ${ED25519}\n`);
    assert.equal(await mode(`${dir}/a/b/known_hosts`), 0o600);
    assert.equal(await mode(`${dir}/a/b`), 0o700);
  }));

Deno.test("recordHostKey() adds behind what is there, also behind a line without an end", () =>
  inFolder(async (dir) => {
    const file = `${dir}/known_hosts`;
    await Deno.writeTextFile(file, `pve0 ${RSA}`);
    await recordHostKey(file, `pve1 ${ED25519}`);
    await recordHostKey(file, `pve2 ${ED25519}`);
    assert.equal(await Deno.readTextFile(file), `pve0 ${RSA}\npve1 ${ED25519}\npve2 ${ED25519}\n`);
  }));

Deno.test("recordHostKey() writes a line once when many record it at the same time, and loses none", () =>
  inFolder(async (dir) => {
    const file = `${dir}/known_hosts`;
    const names = Array.from({ length: 20 }, (_, index) => `pve${index % 10}`);
    const added = await Promise.all(names.map((name) => recordHostKey(file, `${name} ${ED25519}`)));
    assert.equal(added.filter(Boolean).length, 10);
    const lines = (await Deno.readTextFile(file)).trimEnd().split("\n").sort();
    assert.deepEqual(lines, [...new Set(names)].sort().map((name) => `${name} ${ED25519}`));
  }));
