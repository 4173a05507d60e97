import assert from "node:assert/strict";
import { DumpNodes } from "../../../src/backup/dump_nodes.ts";
import { dumpOnNode } from "../../../src/backup/dump_on_node.ts";
import type { Guest } from "../../../src/core/guest.ts";
import { singleNode } from "../../../src/proxmox/nodes.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import type { NodeFiles } from "../../../src/runner/runner.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { TestSource } from "../core/test_source.ts";
import { standInNode } from "../proxmox/node_stand_in.ts";
import { namesIn, withTempDir } from "../store/temp_dir.ts";
import { RecordingSink } from "./recording_sink.ts";

const GUEST: Guest = { vmid: 101, kind: "qemu", node: "pve1", status: "running", template: false, tags: [] };
const SETTINGS = { mode: "snapshot", compress: "0", notify: "off", hooks: true, lockwait: 1 } as const;

/** Dumps VM 101 under `dumpDir` on a node of which some files do not behave. */
async function dumped(dumpDir: string, broken: Partial<NodeFiles>, guest = GUEST) {
  const local = new LocalFiles();
  const node = standInNode({
    run: () => "[]",
    read: () => new TestSource(buildVma({})),
    files: {
      makeDir: (path, mode) => local.makeDir(path, mode),
      lock: (path) => local.lock(path),
      create: (path) => local.create(path),
      stat: (path) => local.stat(path),
      removeTree: (path) => local.removeTree(path),
      ...broken,
    },
  });
  return await dumpOnNode(guest, {
    nodes: new DumpNodes(singleNode(node), { settings: SETTINGS, dumpDir }),
    runId: "0123",
    dumpDir,
    request: { settings: SETTINGS, method: "stream" },
    sink: new RecordingSink(),
    stallTimeout: 60_000,
    time: new Date(0),
    listen: () => {},
    stop: new AbortController().signal,
  });
}

Deno.test("dumpOnNode() keeps a good dump whose working directory cannot be removed, and warns", () =>
  withTempDir(async (dumpDir) => {
    const removeTree = () => Promise.reject(new Error("connection lost"));
    const { archive, error, warnings } = await dumped(dumpDir, { removeTree });
    assert.ok(archive, error);
    assert.deepEqual(warnings, [
      'its working directory may be left on node "pve1": connection lost',
    ]);
  }));

Deno.test("dumpOnNode() tells why a guest has no working directory, and leaves none", () =>
  withTempDir(async (dumpDir) => {
    const lock = () => Promise.reject(new Error("read-only file system"));
    const { archive, error } = await dumped(dumpDir, { lock });
    assert.equal(archive, undefined);
    assert.match(error ?? "", /^Cannot back up VM 101: Cannot use ".*" for working files: read-only file/);
    assert.deepEqual(await namesIn(dumpDir), []);
  }));

Deno.test("dumpOnNode() tells why a guest's node cannot be used", () =>
  withTempDir(async (dumpDir) => {
    const { error, bytes } = await dumped(dumpDir, {}, { ...GUEST, node: "pve2" });
    assert.match(error ?? "", /^Cannot back up VM 101: Cannot reach node "pve2"/);
    assert.equal(bytes, 0);
    assert.match(
      (await dumped(`${dumpDir}/none`, {})).error ?? "",
      /^Cannot back up VM 101: .* does not exist/,
    );
  }));
