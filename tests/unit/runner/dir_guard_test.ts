import assert from "node:assert/strict";
import { dirGuardArgs } from "../../../src/runner/guard.ts";
import { needs } from "../../needs.ts";

const DISKS = "name: web\\nscsi0: fast:vm-101-disk-0,size=8G";
const NO_DISK = "memory: 128";
const LOCKED = "lock: create\\nmemory: 128";

/**
 * Lets a guard take its owner for dead and answers what it called beside `config`, whose answer is `config`; "" is a
 * guest that is not there, and one that is locked is not destroyed. `notes`: names of files in the directory and what
 * they hold. `stays`: what must be left of them.
 */
async function called(
  shell: string,
  notes: Record<string, string>,
  config: string,
  stays: string[] = [],
): Promise<string[]> {
  const dir = await Deno.makeTempDir({ prefix: "dir-guard-test-" });
  try {
    await Deno.mkdir(`${dir}/run`);
    await Deno.mkdir(`${dir}/bin`);
    await Deno.writeTextFile(`${dir}/calls`, "");
    for (const [name, text] of Object.entries({ ...notes, busy: "" })) {
      await Deno.writeTextFile(`${dir}/run/${name}`, text);
    }
    const tool = `#!/bin/sh\n[ "$1" = config ] || { echo "\${0##*/} $*" >>${dir}/calls
case "$1 ${config}" in destroy*lock:*) exit 255 ;; esac; exit; }
[ "${config}" ] || exit 2\nprintf '${config}\\n'\n`;
    for (const name of ["qm", "pct"]) await Deno.writeTextFile(`${dir}/bin/${name}`, tool, { mode: 0o755 });
    const { code } = await new Deno.Command(shell, {
      args: dirGuardArgs(`${dir}/run`),
      env: { PATH: `${dir}/bin:${Deno.env.get("PATH")}` },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    assert.equal(code, 0);
    assert.deepEqual(namesIn(`${dir}/run`), stays, "what is left of the directory");
    return (await Deno.readTextFile(`${dir}/calls`)).split("\n").filter(Boolean);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name !== "busy").sort();
  } catch {
    return [];
  }
}

for (const shell of ["dash", "bash"]) {
  const test = (what: string, fn: () => Promise<void>) =>
    Deno.test({ name: `directory guard under ${shell} ${what}`, fn, ...needs(shell) });

  test("removes what a restore left of a guest that was not there before, and nothing with a disk", async () => {
    const notes = { unfinished: "qm\n101\n" };
    assert.deepEqual(await called(shell, notes, NO_DISK), ["qm destroy 101"]);
    assert.deepEqual(await called(shell, notes, DISKS), []);
    assert.deepEqual(await called(shell, { unfinished: "pct\n105\n" }, "rootfs: fast:x,size=1G"), []);
    assert.deepEqual(await called(shell, notes, ""), [], "nobody is there");
    // Of what was streamed nobody knows whether it is whole.
    const streamed = { unfinished: "pct\n105\n", streamed: "pct\n105\n" };
    const stays = ["streamed", "unfinished"];
    assert.deepEqual(await called(shell, streamed, "rootfs: fast:x,size=1G", stays), []);
    assert.deepEqual(await called(shell, streamed, NO_DISK), ["pct destroy 105"]);
  });

  test("starts a guest that was stopped for a restore, unless nothing is left of it", async () => {
    const notes = { restart: "qm\n101\n" };
    assert.deepEqual(await called(shell, notes, DISKS), ["qm start 101"]);
    assert.deepEqual(await called(shell, notes, NO_DISK), []);
  });

  test("keeps the note of a guest that it cannot remove, or of which nothing is left, but no archive", async () => {
    const archive = { "vzdump-qemu-101-2026_01_31-12_00_00.vma": "bytes" };
    const unfinished = { unfinished: "qm\n101\n", ...archive };
    assert.deepEqual(await called(shell, unfinished, LOCKED, ["unfinished"]), ["qm destroy 101"]);
    const replacing = { replacing: "qm\n101\n", restart: "qm\n101\n", ...archive };
    assert.deepEqual(await called(shell, replacing, LOCKED, ["replacing", "restart"]), []);
    assert.deepEqual(await called(shell, replacing, "", ["replacing", "restart"]), []);
    assert.deepEqual(await called(shell, replacing, DISKS), ["qm start 101"]);
  });

  test("calls nothing that no note names, and no other tool", async () => {
    assert.deepEqual(await called(shell, {}, NO_DISK), []);
    assert.deepEqual(await called(shell, { unfinished: "rm\n101\n", restart: "qm" }, NO_DISK), []);
  });
}
