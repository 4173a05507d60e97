import assert from "node:assert/strict";
import type { ByteSource } from "../../../src/core/bytes.ts";
import { type DumpRequest, startDump } from "../../../src/proxmox/dump.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import type { CommandEnd, NodeFiles } from "../../../src/runner/runner.ts";
import { testBytes, TestSource } from "../core/test_source.ts";
import { namesIn, withTempDir } from "../store/temp_dir.ts";
import { exits, type NodeScript, notInstalled, standInNode } from "./node_stand_in.ts";

const VM = { vmid: 101, kind: "qemu" as const };
const NAME = "vzdump-qemu-101-2026_01_31-12_00_00.vma.zst";
const BYTES = testBytes(100_000);
const GIB = 1024 ** 3;
const VZDUMP = ["vzdump"] as const;

function request(
  workDir: string,
  method: DumpRequest["method"],
  given: Partial<DumpRequest> = {},
): DumpRequest {
  return {
    settings: { mode: "snapshot", compress: "zstd", notify: "off", hooks: true, lockwait: 180 },
    method,
    workDir,
    hold: `${workDir}/busy`,
    onLog: () => {},
    ...given,
  };
}

async function readAll(source: ByteSource): Promise<Uint8Array> {
  const bytes: number[] = [];
  let buffer = new ArrayBuffer(32 * 1024);
  for (;;) {
    const chunk = await source.read(new Uint8Array(buffer));
    if (chunk.byteLength === 0) return new Uint8Array(bytes);
    bytes.push(...chunk);
    buffer = chunk.buffer;
  }
}

const good: CommandEnd = { status: 0, logTail: "INFO: Backup job finished successfully" };

/** A node whose vzdump writes a file into `dir`, on a filesystem with room. */
function fileNode(dir: string, given: NodeScript = {}, files: Partial<NodeFiles> = {}) {
  const local = new LocalFiles();
  return standInNode({
    finish: async () => {
      await Deno.writeFile(`${dir}/${NAME}`, BYTES);
      await Deno.writeTextFile(`${dir}/vzdump-qemu-101-2026_01_31-12_00_00.log`, "log");
      return good;
    },
    ...given,
    files: {
      list: (path) => local.list(path),
      open: (path) => local.open(path),
      link: (from, to) => local.link(from, to),
      removeFile: (path) => local.removeFile(path),
      freeSpace: () => Promise.resolve({ free: 90 * GIB, total: 100 * GIB }),
      ...files,
    },
  });
}

Deno.test("startDump() streams what vzdump writes on stdout", async () => {
  for (const method of ["auto", "stream"] as const) {
    const node = standInNode({ read: () => new TestSource(BYTES, { transfers: true }) });
    assert.deepEqual(await readAll(await startDump(node, VM, request("/tmp", method))), BYTES);
    assert.equal(node.runner.calls.length, 1);
    assert.ok(node.runner.calls[0]?.includes("--stdout"));
  }
});

Deno.test("startDump() goes through a file when vzdump refuses to stream, before any byte", () =>
  withTempDir(async (dir) => {
    const refusals = [
      "cannot use options 'storage' and 'stdout' at the same time",
      "you can only backup a single VM with option --stdout",
      "Unknown option: stdout\n400 unable to parse option\nvzdump {<vmid>} [OPTIONS]",
    ];
    for (const said of refusals) {
      const error = exits(255, said, VZDUMP);
      const node = fileNode(dir, {
        read: () => new TestSource(BYTES, { failAt: 0, error, transfers: true }),
      });
      assert.deepEqual(await readAll(await startDump(node, VM, request(dir, "auto"))), BYTES, said);
      assert.equal(node.runner.calls.length, 2);
      assert.ok(!node.runner.calls[1]?.includes("--stdout"));
    }
  }));

Deno.test("startDump() does without silence where vzdump does not know the option for it", async () => {
  const error = exits(255, "Unknown option: notification-mode\n400 unable to parse option", VZDUMP);
  const node = standInNode({
    read: (argv) =>
      argv.includes("--notification-mode")
        ? new TestSource(BYTES, { failAt: 0, error, transfers: true })
        : new TestSource(BYTES),
  });
  assert.deepEqual(await readAll(await startDump(node, VM, request("/tmp", "stream"))), BYTES);
  assert.equal(node.runner.calls.length, 2);
});

Deno.test("startDump() does not dump again after any other failure", async () => {
  const refused = "cannot use options 'storage' and 'stdout' at the same time";
  const failed =
    "INFO: sending archive to stdout\nERROR: Backup of VM 101 failed - VM is locked (backup)\nINFO: Failed at x\njob errors";
  const cases: [DumpRequest["method"], number, Error][] = [
    ["auto", 0, exits(255, failed, VZDUMP)],
    ["auto", 1, exits(255, refused, VZDUMP)],
    ["auto", 0, notInstalled("vzdump")],
    ["auto", 0, new Error("stdout broke")],
    ["stream", 0, exits(255, refused, VZDUMP)],
  ];
  for (const [method, failAt, error] of cases) {
    const node = standInNode({ read: () => new TestSource(BYTES, { failAt, error }) });
    const dump = await startDump(node, VM, request("/tmp", method));
    await assert.rejects(readAll(dump), (thrown) => thrown === error, `${method} ${failAt} ${error.message}`);
    assert.equal(node.runner.calls.length, 1);
  }
});

Deno.test("startDump() does not dump again once it was cancelled", async () => {
  const error = exits(255, "you can only backup a single VM with option --stdout", VZDUMP);
  const source = new TestSource(BYTES, { failAt: 0, error });
  const stream = { read: source.read.bind(source), cancel: () => Promise.resolve() };
  const node = standInNode({ read: () => stream });
  const dump = await startDump(node, VM, request("/tmp", "auto"));
  await dump.cancel("stop");
  await assert.rejects(dump.read(new Uint8Array(10)), (thrown) => thrown === error);
  assert.equal(node.runner.calls.length, 1);
});

Deno.test("startDump() through a file leaves nothing of the archive behind", () =>
  withTempDir(async (dir) => {
    const dump = await startDump(fileNode(dir), VM, request(dir, "file"));
    assert.deepEqual(await readAll(dump), BYTES);
    assert.equal(dump.logTail(), good.logTail);
    assert.deepEqual(await namesIn(dir), ["vzdump-qemu-101-2026_01_31-12_00_00.log"]);
    await dump.cancel("late");
  }));

Deno.test("startDump() through a file moves the archive up where it is to be kept, and replaces none there", () =>
  withTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/work`);
    const keep = request(`${dir}/work`, "file", { keepIn: dir });
    assert.deepEqual(await readAll(await startDump(fileNode(`${dir}/work`), VM, keep)), BYTES);
    assert.deepEqual(await Deno.readFile(`${dir}/${NAME}`), BYTES);
    assert.ok(!(await namesIn(`${dir}/work`)).includes(NAME));

    await Deno.writeTextFile(`${dir}/${NAME}`, "mine");
    await assert.rejects(
      startDump(fileNode(`${dir}/work`), VM, keep).then(readAll),
      Deno.errors.AlreadyExists,
    );
    assert.equal(await Deno.readTextFile(`${dir}/${NAME}`), "mine");
  }));

Deno.test("startDump() through a file tells why vzdump failed", () =>
  withTempDir(async (dir) => {
    const fails = (end: CommandEnd) =>
      startDump(fileNode(dir, { finish: () => end }), VM, request(dir, "file")).then(readAll);
    const log = "ERROR: Backup of VM 101 failed - VM is locked (backup)\nINFO: Failed at x\njob errors";
    await assert.rejects(fails({ status: 255, logTail: log }), {
      name: "UserError",
      message: "Cannot back up VM 101: VM is locked (backup)",
    });
    await assert.rejects(
      fails({ status: 137, logTail: "" }),
      /Cannot back up VM 101: vzdump ended with status 137/,
    );
    await assert.rejects(fails({ status: 0, logTail: "" }), /Cannot back up VM 101: vzdump wrote no archive/);
  }));

Deno.test("startDump() through a file bears a vzdump that cannot be started, read or not", () =>
  withTempDir(async (dir) => {
    const error = notInstalled("vzdump");
    const node = fileNode(dir, { finish: () => Promise.reject(error) });
    const dump = await startDump(node, VM, request(dir, "file"));
    await new Promise((resolve) => setTimeout(resolve, 10)); // an unhandled rejection would end the run here
    await assert.rejects(dump.read(new Uint8Array(10)), error);
    await dump.cancel(error);

    const unread = await startDump(node, VM, request(dir, "file"));
    await unread.cancel("the target is full");
  }));

/** A vzdump that runs until it is stopped. */
function endlessVzdump(started: () => void): NonNullable<NodeScript["finish"]> {
  return (_, { stop }) => {
    started();
    return new Promise((resolve) => {
      stop?.addEventListener("abort", () => resolve({ status: 143, logTail: "interrupted by signal" }));
    });
  };
}

Deno.test("startDump() through a file stops vzdump when it is cancelled, before and while it is read", () =>
  withTempDir(async (dir) => {
    let runs = 0;
    const node = fileNode(dir, { finish: endlessVzdump(() => runs++) });
    const unread = await startDump(node, VM, request(dir, "file"));
    await unread.cancel("stop");

    const dump = await startDump(node, VM, request(dir, "file"));
    const reason = new Error("Interrupted by SIGINT");
    const read = assert.rejects(dump.read(new Uint8Array(10)));
    await dump.cancel(reason);
    await dump.cancel(reason);
    await read;
    assert.equal(runs, 2);
  }));

Deno.test("startDump() through a file ends vzdump before it fills the node's disk", () =>
  withTempDir(async (dir) => {
    const files = { freeSpace: () => Promise.resolve({ free: GIB, total: 10 * GIB }) };
    const node = fileNode(dir, { finish: endlessVzdump(() => {}) }, files);
    const dump = await startDump(node, VM, request(dir, "file"));
    await assert.rejects(dump.read(new Uint8Array(10)), /Cannot back up VM 101: ".*" has run out of space/);
    await dump.cancel("over");
  }));
