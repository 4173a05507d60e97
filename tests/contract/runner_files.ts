import assert from "node:assert/strict";
import { type Bench, countBytes, type MakeRunner, readText, withBench } from "./runner_helpers.ts";

/** `files`: the node's files. */
export function fileContract(name: string, make: MakeRunner): void {
  const test = (what: string, run: (bench: Bench) => Promise<void>) =>
    Deno.test(`${name} files ${what}`, () => withBench(make, run));

  test("makeDir() makes exactly the mode asked for, and nothing twice", async ({ runner: { files }, dir }) => {
    await files.makeDir(`${dir}/a`, 0o711);
    await files.makeDir(`${dir}/b`, 0o777);
    assert.deepEqual(await files.stat(`${dir}/a`).then((info) => [info?.kind, info?.mode]), ["dir", 0o711]);
    assert.equal((await files.stat(`${dir}/b`))?.mode, 0o777);
    await assert.rejects(files.makeDir(`${dir}/a`, 0o700), { code: "EEXIST" });
    await assert.rejects(files.makeDir(`${dir}/no/a`, 0o700), { code: "ENOENT" });
  });

  test("stat() follows symlinks and answers null for nothing", async ({ runner: { files }, dir }) => {
    await Deno.writeTextFile(`${dir}/file`, "12345", { mode: 0o640 });
    await Deno.symlink(`${dir}/file`, `${dir}/link`);
    await Deno.symlink(`${dir}/none`, `${dir}/dangling`);
    assert.deepEqual(await files.stat(`${dir}/link`), { kind: "file", size: 5, mode: 0o640 });
    assert.equal((await files.stat("/dev/null"))?.kind, "other");
    for (const nothing of ["none", "dangling", "file/below"]) {
      assert.equal(await files.stat(`${dir}/${nothing}`), null);
    }
  });

  test("list() gives all names of a directory", async ({ runner: { files }, dir }) => {
    for (const name of ["b", ".hidden", "with space\nand newline", "ü"]) {
      await Deno.writeTextFile(`${dir}/${name}`, "");
    }
    assert.deepEqual((await files.list(dir)).sort(), [".hidden", "b", "with space\nand newline", "ü"].sort());
    await assert.rejects(files.list(`${dir}/none`), { code: "ENOENT" });
  });

  test("readText() reads small files whole, in UTF-8 or Latin-1", async ({ runner: { files }, dir }) => {
    await Deno.writeTextFile(`${dir}/utf8`, "name: Grüße\n");
    await Deno.writeFile(`${dir}/latin1`, Uint8Array.of(0x47, 0xfc, 0x0a));
    await Deno.writeFile(`${dir}/limit`, new Uint8Array(4 * 1024 * 1024));
    await Deno.writeFile(`${dir}/big`, new Uint8Array(4 * 1024 * 1024 + 1));
    assert.equal(await files.readText(`${dir}/utf8`), "name: Grüße\n");
    assert.equal(await files.readText(`${dir}/latin1`), "Gü\n");
    assert.equal((await files.readText(`${dir}/limit`))?.length, 4 * 1024 * 1024);
    assert.match((await files.readText("/proc/self/status"))!, /^Name:/); // says size 0
    assert.equal(await files.readText(`${dir}/none`), null);
    await assert.rejects(files.readText(`${dir}/big`), /Cannot read ".*big": more than 4194304 bytes/);
    await assert.rejects(files.readText(dir), { code: "EISDIR" });
  });

  test("create() and open() pass bytes of any chunk size", async ({ runner: { files }, dir }) => {
    const writer = await files.create(`${dir}/new`);
    await writer.write(new TextEncoder().encode("head"));
    await writer.write(new Uint8Array(3_000_000).fill(0x61));
    await writer.close();
    assert.deepEqual(await files.stat(`${dir}/new`), { kind: "file", size: 3_000_004, mode: 0o600 });
    const source = await files.open(`${dir}/new`);
    const buffer = new Uint8Array(100).fill(7).buffer;
    const first = await source.read(new Uint8Array(buffer, 10, 4));
    assert.equal(new TextDecoder().decode(first), "head");
    assert.deepEqual([first.byteOffset, new Uint8Array(first.buffer)[14]], [10, 7]);
    assert.equal((await readText(source)).length, 3_000_000);
    assert.equal((await source.read(new Uint8Array(10))).length, 0);
    await source.cancel("after the end");
  });

  test("create() never touches what is there, not even through a symlink", async ({ runner: { files }, dir }) => {
    await Deno.writeTextFile(`${dir}/old`, "keep");
    await Deno.symlink(`${dir}/target`, `${dir}/dangling`);
    await assert.rejects(files.create(`${dir}/old`), { code: "EEXIST" });
    await assert.rejects(files.create(`${dir}/dangling`), { code: "EEXIST" });
    assert.equal(await Deno.readTextFile(`${dir}/old`), "keep");
    assert.equal(await files.stat(`${dir}/target`), null);
  });

  test("create() can be aborted, also twice", async ({ runner: { files }, dir }) => {
    const writer = await files.create(`${dir}/new`);
    await writer.write(new Uint8Array(10));
    await writer.abort();
    await writer.abort();
    assert.equal((await files.stat(`${dir}/new`))?.size, 10);
  });

  test("open() can be cancelled, and refuses what is no regular file", async ({ runner: { files }, dir, script }) => {
    const [path] = await script("true");
    const source = await files.open(path);
    await source.cancel("enough");
    await source.cancel("again");
    await Deno.symlink(path, `${dir}/link`);
    assert.ok(await countBytes(await files.open(`${dir}/link`)) > 0);
    await assert.rejects(files.open(dir), /not a regular file/);
    await assert.rejects(files.open("/dev/null"), /not a regular file/);
    await assert.rejects(files.open(`${dir}/none`), { code: "ENOENT" });
  });

  test("link() gives a second name and never replaces one", async ({ runner: { files }, dir }) => {
    await Deno.writeTextFile(`${dir}/one`, "1");
    await Deno.writeTextFile(`${dir}/two`, "2");
    await files.link(`${dir}/one`, `${dir}/three`);
    assert.equal(await files.readText(`${dir}/three`), "1");
    await assert.rejects(files.link(`${dir}/one`, `${dir}/two`), { code: "EEXIST" });
    assert.equal(await files.readText(`${dir}/two`), "2");
  });

  test("freeSpace() tells what df tells", async ({ runner, dir }) => {
    const { free, total } = await runner.files.freeSpace(dir);
    const { stdout } = await runner.run(["df", "-B1", "--output=size,avail", dir]);
    const [size, available] = stdout.trim().split("\n")[1]!.trim().split(/\s+/).map(Number);
    assert.equal(total, size);
    assert.ok(Math.abs(free - available!) < 0.05 * size!, "others write meanwhile, but not that much");
    await assert.rejects(runner.files.freeSpace(`${dir}/none`), { code: "ENOENT" });
  });

  test("lock() holds until it is released", async ({ runner, dir, script }) => {
    const held = await runner.files.lock(`${dir}/lock`);
    await assert.rejects(runner.files.lock(`${dir}/lock`), { code: "EEXIST" });
    const tryLock = await script(`flock -n ${dir}/lock true`);
    assert.equal((await runner.run(tryLock, { accept: [0, 1] })).status, 1);
    await held.release();
    await held.release();
    assert.equal((await runner.run(tryLock, { accept: [0, 1] })).status, 0);
  });

  test("removeFile() removes one file or symlink, never a directory", async ({ runner: { files }, dir }) => {
    await Deno.mkdir(`${dir}/empty`);
    await Deno.writeTextFile(`${dir}/file`, "");
    await Deno.symlink(`${dir}/empty`, `${dir}/link`);
    await files.removeFile(`${dir}/file`);
    await files.removeFile(`${dir}/link`);
    await files.removeFile(`${dir}/none`);
    await assert.rejects(files.removeFile(`${dir}/empty`), /it is a directory/);
    assert.deepEqual(await files.list(dir), ["empty"]);
  });

  test("removeTree() does not follow symlinks", async ({ runner: { files }, dir }) => {
    await Deno.mkdir(`${dir}/run/sub`, { recursive: true });
    await Deno.mkdir(`${dir}/precious`);
    await Deno.writeTextFile(`${dir}/precious/file`, "");
    await Deno.symlink(`${dir}/precious`, `${dir}/run/sub/link`);
    await Deno.symlink(`${dir}/precious`, `${dir}/link`);
    await files.removeTree(`${dir}/run`);
    await files.removeTree(`${dir}/run`);
    await files.removeTree(`${dir}/link`);
    assert.deepEqual(await files.list(dir), ["precious"]);
    assert.deepEqual(await files.list(`${dir}/precious`), ["file"]);
  });

  test("removeEmptyDir() removes nothing but an empty directory", async ({ runner: { files }, dir }) => {
    await Deno.mkdir(`${dir}/full/inner`, { recursive: true });
    await Deno.writeTextFile(`${dir}/file`, "");
    assert.equal(await files.removeEmptyDir(`${dir}/full`), false);
    assert.equal(await files.removeEmptyDir(`${dir}/file`), false);
    assert.equal(await files.removeEmptyDir(`${dir}/none`), false);
    assert.equal(await files.removeEmptyDir(`${dir}/full/inner`), true);
    assert.deepEqual((await files.list(dir)).sort(), ["file", "full"]);
  });
}
