import assert from "node:assert/strict";
import { findWorkDirs, leftoverNote, removeWorkDir } from "../../../src/proxmox/leftovers.ts";
import { makeWorkDir } from "../../../src/proxmox/work_dir.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { needs } from "../../needs.ts";
import { standInNode } from "./node_stand_in.ts";

const RUN = "0123456789abcdef0123456789abcdef";

/** This machine as a node, with an empty directory for working directories. */
async function makePlace() {
  const dir = await Deno.makeTempDir({ prefix: "leftovers test-" });
  const node = { ...standInNode({}), runner: new LocalRunner() };
  return { dir, node, [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
}

/** A directory as a killed run leaves it. */
async function leave(
  dir: string,
  name: string,
  mode: number,
  files: Record<string, number>,
): Promise<string> {
  const path = `${dir}/${name}`;
  await Deno.mkdir(path);
  for (const [file, fileMode] of Object.entries({ "owner.lock": 0o600, busy: 0o600, ...files })) {
    await Deno.writeTextFile(`${path}/${file}`, "some bytes", { mode: fileMode });
  }
  await Deno.chmod(path, mode);
  return path;
}

const namesIn = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, fn, ...needs("flock") });

test("removeWorkDir() removes what dead runs left, and findWorkDirs() passes over everything else", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  const dump = await leave(dir, `plakar-proxmox-${RUN}-101`, 0o711, {
    "vzdump-qemu-101-2026_01_31-12_00_00.log": 0o644,
    "vzdump-qemu-101-2026_01_31-12_00_00.vma.dat": 0o644,
    "1b4e28ba-2fa1-11d2-883f-0016d3cca427.log": 0o600,
  });
  await Deno.mkdir(`${dump}/vzdump-qemu-101-2026_01_31-12_00_00.tmp`);
  await Deno.writeTextFile(`${dump}/vzdump-qemu-101-2026_01_31-12_00_00.tmp/qemu-server.conf`, "");
  const stage = await leave(dir, `plakar-proxmox-${RUN}-1`, 0o700, {
    "vzdump-lxc-105-2026_01_31-12_00_00.tar.zst": 0o600,
  });
  await Deno.writeTextFile(`${stage}/restart`, "pct\n105\n");
  await Deno.writeTextFile(`${stage}/unfinished`, "qm\n106\n");
  await leave(dir, "plakar-proxmox-mine", 0o700, {});
  await Deno.writeTextFile(`${dir}/vzdump-qemu-101-2025_01_31-12_00_00.vma.zst`, "the user's");
  await Deno.symlink(dir, `${dir}/plakar-proxmox-${RUN}-7`);

  const found = await findWorkDirs(node, dir);
  assert.deepEqual(found.map(({ path, state }) => [path, state]), [[stage, "left-over"], [
    dump,
    "left-over",
  ]]);
  assert.deepEqual(found.map(({ dumpOf, restart, unfinished }) => ({ dumpOf, restart, unfinished })), [
    { dumpOf: undefined, restart: { kind: "lxc", vmid: 105 }, unfinished: { kind: "qemu", vmid: 106 } },
    { dumpOf: 101, restart: undefined, unfinished: undefined },
  ]);
  assert.ok(found.every(({ bytes, foreign }) => bytes > 0 && foreign.length === 0));
  assert.match(
    await leftoverNote(node, dir) ?? "",
    /2 directories under .* left over .* "plakar-proxmox cleanup"$/,
  );
  for (const { path } of found) assert.deepEqual(await removeWorkDir(node, path), { removed: true });
  assert.deepEqual(await namesIn(dir), [
    `plakar-proxmox-${RUN}-7`,
    "plakar-proxmox-mine",
    "vzdump-qemu-101-2025_01_31-12_00_00.vma.zst",
  ]);
  assert.equal(await leftoverNote(node, dir), undefined);
});

test("removeWorkDir() leaves what no run made, and names it", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  const dump = await leave(dir, `plakar-proxmox-${RUN}-101`, 0o711, {
    "vzdump-qemu-101-2026_01_31-12_00_00.vma": 0o644,
    "vzdump-qemu-102-2026_01_31-12_00_00.vma": 0o644,
    ".hidden notes": 0o644,
  });
  const stage = await leave(dir, `plakar-proxmox-${RUN}-2`, 0o700, {
    "vzdump-qemu-101-2026_01_31-12_00_00.vma": 0o600,
    "vzdump-qemu-101-2025_01_31-12_00_00.vma": 0o644,
  });
  const [, found] = await findWorkDirs(node, dir);
  assert.deepEqual(found?.foreign.length, 1);
  const { removed, reason } = await removeWorkDir(node, dump);
  assert.equal(removed, false);
  assert.match(reason ?? "", /"vzdump-qemu-102-2026_01_31-12_00_00\.vma", "\.hidden notes" that no run made/);
  assert.deepEqual(await namesIn(dump), [".hidden notes", "vzdump-qemu-102-2026_01_31-12_00_00.vma"]);
  assert.equal((await removeWorkDir(node, stage)).removed, false);
  assert.deepEqual(await namesIn(stage), ["vzdump-qemu-101-2025_01_31-12_00_00.vma"]);
});

test("a working directory is in use while its run lives, and afterwards kept where that was asked for", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  const mine = await makeWorkDir(node, dir, `${RUN}-101`, 0o711);
  const kept = await makeWorkDir(node, dir, `${RUN}-102`, 0o700);
  await kept.close(true);
  const found = await findWorkDirs(node, dir);
  assert.deepEqual(found.map(({ state, reason }) => [state, reason]), [
    ["in-use", "its run is at work"],
    ["kept", "it was kept by cleanup=false"],
  ]);
  for (const { path } of found) assert.equal((await removeWorkDir(node, path)).removed, false);
  assert.deepEqual(await namesIn(dir), [`plakar-proxmox-${RUN}-101`, `plakar-proxmox-${RUN}-102`]);
  await mine.close();
  assert.deepEqual((await findWorkDirs(node, dir)).map(({ state }) => state), ["kept"]);
});

test("a working directory is in use while a command holds it, or has a file of it open", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  const path = await leave(dir, `plakar-proxmox-${RUN}-101`, 0o711, {});
  const hold = async (script: string, what: RegExp) => {
    const child = new Deno.Command("sh", {
      args: ["-c", `${script}\necho ready\nread -r word`, "sh", path],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const said = child.stdout.getReader();
    await said.read();
    const [found] = await findWorkDirs(node, dir);
    const answer = await removeWorkDir(node, path);
    await child.stdin.close();
    await child.status;
    await said.cancel();
    assert.match(found?.reason ?? "", what);
    assert.match(answer.reason ?? "", what);
  };
  await hold('exec 5<"$1/busy"; flock --shared 5', /a command of its run is still at work/);
  await hold('exec 5>"$1/log"; rm "$1/log"', /a process has a file of it open/);
  await hold('cd "$1"', /a process has a file of it open/);
  // The path that processes have open is the real one, whatever way led there.
  const link = `${dir}-link`;
  await Deno.symlink(dir, link);
  const child = new Deno.Command("sleep", { args: ["60"], cwd: path }).spawn();
  try {
    assert.equal((await findWorkDirs(node, link))[0]?.state, "in-use");
  } finally {
    child.kill();
    await child.status;
    await Deno.remove(link);
  }
  assert.deepEqual(await removeWorkDir(node, path), { removed: true });
});

test("a working directory without locks may be about to be used, and is left alone while it is young", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  const path = `${dir}/plakar-proxmox-${RUN}-101`;
  await Deno.mkdir(path, { mode: 0o700 });
  assert.equal((await findWorkDirs(node, dir))[0]?.reason, "it was made just now");
  await Deno.writeTextFile(`${path}/owner.lock`, "");
  assert.equal((await removeWorkDir(node, path)).removed, false);
  const old = new Date(Date.now() - 120_000);
  await Deno.utime(`${path}/owner.lock`, old, old);
  await Deno.utime(path, old, old);
  assert.equal((await findWorkDirs(node, dir))[0]?.state, "left-over");
  assert.deepEqual(await removeWorkDir(node, path), { removed: true });
});

Deno.test("findWorkDirs() finds nothing where there is no directory, and refuses to guess without flock", async () => {
  await using place = await makePlace();
  const { dir, node } = place;
  assert.deepEqual(await findWorkDirs(node, `${dir}/none`), []);
  await Deno.mkdir(`${dir}/plakar-proxmox-${RUN}-101`);
  const bare = { ...node, runner: new LocalRunner() };
  bare.runner.hasTool = () => Promise.resolve(false);
  await assert.rejects(findWorkDirs(bare, dir), /"flock" is missing/);
  assert.equal(await leftoverNote(bare, dir), undefined);
});
