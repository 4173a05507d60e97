import assert from "node:assert/strict";
import { backup } from "../../../src/backup/backup.ts";
import type { BackupRequest } from "../../../src/backup/request.ts";
import type { Guest } from "../../../src/core/guest.ts";
import { singleNode } from "../../../src/proxmox/nodes.ts";
import { LocalFiles } from "../../../src/runner/local_files.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { TestSource } from "../core/test_source.ts";
import { exits, standInNode } from "../proxmox/node_stand_in.ts";
import { modeOf, namesIn, withTempDir } from "../store/temp_dir.ts";
import { RecordingSink } from "./recording_sink.ts";

const VMA = buildVma({});

function guest(vmid: number): Guest {
  return {
    vmid,
    kind: "qemu",
    node: "pve1",
    name: `vm${vmid}`,
    status: "running",
    template: false,
    tags: [],
  };
}

interface Given {
  /** vmids whose dump fails. */
  failing?: number[];
  request?: Partial<BackupRequest>;
  stop?: AbortSignal;
  /** Called as each dump starts. */
  onDump?: (vmid: number, workDir: string) => void | Promise<void>;
  release?: string;
}

/** Backs up VMs 101 to 103 of a small node. */
async function backedUp({ failing = [], request = {}, stop, onDump, release = "8.4.1" }: Given = {}) {
  return await withTempDir(async (dumpDir) => {
    const local = new LocalFiles();
    const dumps: number[] = [];
    const node = standInNode({
      run: () => "[]",
      read: (argv, { logDir }) => {
        const vmid = Number(argv[1]);
        dumps.push(vmid);
        const error = exits(255, `ERROR: Backup of VM ${vmid} failed - VM is locked (backup)`, ["vzdump"]);
        const pause = async () => await onDump?.(vmid, logDir);
        return new TestSource(VMA, { pause, ...(failing.includes(vmid) ? { failAt: 0, error } : {}) });
      },
      files: {
        makeDir: (path, mode) => local.makeDir(path, mode),
        lock: (path) => local.lock(path),
        create: (path) => local.create(path),
        stat: (path) => local.stat(path),
        removeTree: (path) => local.removeTree(path),
        readText: (path) =>
          Promise.resolve(path.endsWith("/103.conf") ? "scsi1: fast:x,size=1G,backup=0\n" : "name: x\n"),
      },
    }, release);
    const sink = new RecordingSink();
    const asked: BackupRequest = {
      selected: { guests: [101, 102, 103].map(guest), failed: [], leftOut: [], notes: ["a note"] },
      settings: { mode: "snapshot", compress: "0", notify: "off", hooks: true, lockwait: 180 },
      method: "stream",
      dumpDir,
      maxNodes: 4,
      stallTimeout: 600,
      onError: "continue",
      cleanup: true,
      options: { backup_mode: "snapshot" },
      ...request,
    };
    const report = await backup(asked, {
      nodes: singleNode(node),
      runId: "0123456789abcdef",
      program: "plakar-proxmox 0.0.0",
      now: () => new Date(2026, 0, 31, 12, 0, 0),
      listen: () => {},
      stop: stop ?? new AbortController().signal,
    }, sink);
    assert.deepEqual(await namesIn(dumpDir), [], "something was left in dump_dir");
    return { report, sink, dumps, outcomes: report.guests.map(({ vmid, outcome }) => [vmid, outcome]) };
  });
}

Deno.test("backup() takes one guest after the other and tells it in manifest and report", async () => {
  const { report, sink, dumps } = await backedUp();
  assert.deepEqual(dumps, [101, 102, 103]);
  assert.equal(report.outcome, "good");
  assert.deepEqual(sink.report, report);
  assert.deepEqual(sink.stored, dumps.map((vmid) => `vzdump-qemu-${vmid}-2026_01_31-12_00_00.vma`));
  assert.deepEqual(report.guests.map((entry) => entry.archive?.name), sink.stored);
  assert.deepEqual(report.notes, ["a note"]);
  assert.deepEqual(sink.manifest?.guests.map((entry) => entry.vmid), dumps);
  assert.deepEqual([sink.manifest?.node, sink.manifest?.release], ["pve1", "8.4.1"]);
  assert.deepEqual(sink.manifest?.options, { backup_mode: "snapshot" });
});

Deno.test("backup() tells what a backup does not hold, in manifest and report", async () => {
  const { report, sink } = await backedUp();
  for (const guests of [report.guests, sink.manifest?.guests]) {
    assert.deepEqual(guests?.map((entry) => entry.notHeld.map((item) => item.key)), [[], [], ["scsi1"]]);
  }
});

Deno.test("backup() goes on after a guest that fails", async () => {
  const { report, outcomes } = await backedUp({ failing: [102] });
  assert.deepEqual(outcomes, [[101, "good"], [102, "failed"], [103, "good"]]);
  assert.equal(report.outcome, "partial");
  assert.match(report.guests[1]?.error ?? "", /^Cannot back up VM 102: .*VM is locked \(backup\)$/);
});

Deno.test("backup() with on_error=fail starts no other guest after a failure, and fails", async () => {
  const { report, outcomes, dumps } = await backedUp({ failing: [102], request: { onError: "fail" } });
  assert.deepEqual(outcomes, [[101, "good"], [102, "failed"], [103, "not-started"]]);
  assert.deepEqual(dumps, [101, 102]);
  assert.equal(report.outcome, "failed");
});

Deno.test("backup() fails where no guest is good, whatever on_error says", async () => {
  assert.equal((await backedUp({ failing: [101, 102, 103] })).report.outcome, "failed");
});

Deno.test("backup() counts a guest that was asked for and is not there as failed, and one elsewhere as left out", async () => {
  const selected = {
    guests: [guest(101)],
    failed: [{ vmid: 999, reason: "no guest has this vmid" }],
    leftOut: [{ vmid: 201, guest: { ...guest(201), node: "pve2" }, reason: 'it lives on node "pve2"' }],
    notes: [],
  };
  const { report, outcomes } = await backedUp({ request: { selected } });
  assert.deepEqual(outcomes, [[999, "failed"], [201, "left-out"], [101, "good"]]);
  assert.equal(report.outcome, "partial");
  assert.match(report.guests[0]?.error ?? "", /no guest has this vmid$/);
});

Deno.test("backup() ends the running dump at a stop and starts no other", async () => {
  const stop = new AbortController();
  const onDump = (vmid: number) => {
    if (vmid === 102) stop.abort(new Error("Interrupted by SIGTERM"));
  };
  const { report, outcomes, dumps } = await backedUp({ stop: stop.signal, onDump });
  assert.deepEqual(outcomes, [[101, "good"], [102, "failed"], [103, "not-started"]]);
  assert.deepEqual(dumps, [101, 102]);
  assert.equal(report.outcome, "interrupted");
  assert.ok(report.notes.includes("Interrupted by SIGTERM"));
});

Deno.test("backup() dumps in a directory of its own that mapped uids can pass through", async () => {
  const seen: string[] = [];
  await backedUp({
    onDump: async (vmid, workDir) => {
      assert.match(workDir, new RegExp(`/plakar-proxmox-0123456789abcdef-${vmid}$`));
      seen.push(await modeOf(workDir));
    },
  });
  assert.ok(seen.length >= 3 && seen.every((mode) => mode === "711"), seen.join());
});

Deno.test("backup() starts nothing with settings that the node does not know", async () => {
  const settings = {
    mode: "snapshot",
    compress: "0",
    notify: "off",
    hooks: true,
    lockwait: 1,
    fleecing: "fast",
  } as const;
  await assert.rejects(backedUp({ request: { settings }, release: "8.1.4" }), { kind: "usage" });
  assert.equal((await backedUp({ request: { settings } })).report.outcome, "good");
});
