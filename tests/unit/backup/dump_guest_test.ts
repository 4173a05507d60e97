import assert from "node:assert/strict";
import type { ByteSource } from "../../../src/core/bytes.ts";
import { drain } from "../../../src/core/bytes.ts";
import type { FlowEvent } from "../../../src/core/events.ts";
import type { Guest } from "../../../src/core/guest.ts";
import type { SnapshotSink } from "../../../src/core/sink.ts";
import { dumpGuest, type DumpTask } from "../../../src/backup/dump_guest.ts";
import type { JobOptions } from "../../../src/runner/runner.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { TestSource } from "../core/test_source.ts";
import { exits, notInstalled, standInNode } from "../proxmox/node_stand_in.ts";

const GUEST: Guest = {
  vmid: 101,
  kind: "qemu",
  node: "pve1",
  name: "web",
  status: "running",
  template: false,
  tags: [],
};
const VMA = buildVma({ configs: [{ name: "qemu-server.conf", data: "name: web\n" }] });

/** A sink that takes bytes to nowhere, as the contract says. */
const SINK: SnapshotSink = {
  begin: () => Promise.resolve(),
  finish: () => Promise.resolve(),
  async store(_, source, record) {
    let bytes = 0;
    try {
      await drain(source, (chunk) => void (bytes += chunk.byteLength));
      return record({ bytes, sha256: "a".repeat(64) });
    } catch (error) {
      await source.cancel(error);
      throw error;
    }
  },
};

/** Dumps the guest from a vzdump that writes `source` and logs `lines`. */
async function dumped(source: ByteSource | Error, given: Partial<DumpTask> & { lines?: string[] } = {}) {
  const { lines = [], ...rest } = given;
  const events: FlowEvent[] = [];
  const node = standInNode({
    read: (_, options: JobOptions) => {
      if (source instanceof Error) throw source;
      for (const line of lines) options.onLog?.(line);
      return {
        read: (view) => source.read(view),
        cancel: (reason) => source.cancel(reason),
        logTail: () => lines.join("\n"),
      };
    },
    files: { readText: () => Promise.resolve(null) },
  });
  const result = await dumpGuest(GUEST, {
    node,
    sink: SINK,
    request: {
      settings: { mode: "snapshot", compress: "0", notify: "off", hooks: true, lockwait: 180 },
      method: "stream",
      workDir: "/work",
      hold: "/tmp/busy",
    },
    stallTimeout: 600_000,
    time: new Date(2026, 0, 31, 12, 0, 0),
    listen: (event) => void events.push(event),
    stop: new AbortController().signal,
    ...rest,
  });
  await new Promise((resolve) => setTimeout(resolve, 0));
  return { result, events };
}

Deno.test("dumpGuest() answers the record of a whole archive", async () => {
  const { result } = await dumped(new TestSource(VMA), { lines: ["INFO: Starting Backup of VM 101 (qemu)"] });
  assert.deepEqual(result, {
    archive: {
      name: "vzdump-qemu-101-2026_01_31-12_00_00.vma",
      vmid: 101,
      kind: "qemu",
      bytes: VMA.byteLength,
      sha256: "a".repeat(64),
      compression: "none",
      checked: "contents",
      disks: [],
    },
    bytes: VMA.byteLength,
    log: "INFO: Starting Backup of VM 101 (qemu)",
    warnings: [],
  });
});

Deno.test("dumpGuest() tells progress, waits and warnings out of vzdump's log", async () => {
  const lines = [
    "INFO: trying to get global lock - waiting...",
    "INFO:   3% (1.2 GiB of 32.0 GiB) in 3s, read: 400.0 MiB/s, write: 380.1 MiB/s",
    "WARN: something odd",
  ];
  const { result, events } = await dumped(new TestSource(VMA), { lines });
  assert.deepEqual(result.warnings, ["something odd"]);
  assert.ok(events.some((event) => event.type === "percent" && event.percent === 3));
  assert.ok(
    events.some((event) => event.type === "phase" && event.text.startsWith("waiting for the vzdump lock")),
  );
});

Deno.test("dumpGuest() keeps a bounded number of warnings", async () => {
  const lines = Array.from({ length: 1000 }, (_, index) => `WARN: ${index}`);
  const { result } = await dumped(new TestSource(VMA), { lines });
  assert.ok(result.warnings.length > 0 && result.warnings.length <= 100);
});

Deno.test("dumpGuest() says of a failed guest what vzdump says of it", async () => {
  const lines = ["ERROR: Backup of VM 101 failed - VM is locked (backup)", "INFO: Failed at x", "job errors"];
  const error = exits(255, lines.join("\n"), ["vzdump"]);
  const { result } = await dumped(new TestSource(VMA, { failAt: 0, error }), { lines });
  assert.equal(result.archive, undefined);
  assert.equal(result.error, "Cannot back up VM 101: VM is locked (backup)");
  assert.equal(result.log, lines.join("\n"));
});

Deno.test("dumpGuest() says what parameter vzdump refused, not how it is called", async () => {
  const lines = [
    "400 Parameter verification failed.",
    "tmpdir: value is odd",
    "vzdump {<vmid>} [OPTIONS]",
  ];
  const error = exits(255, lines.join("\n"), ["vzdump"]);
  const { result } = await dumped(new TestSource(VMA, { failAt: 0, error }), { lines });
  assert.match(result.error ?? "", /^Cannot back up VM 101: .*tmpdir: value is odd$/);
});

Deno.test("dumpGuest() says that vzdump is not there", async () => {
  const { result } = await dumped(notInstalled("vzdump"));
  assert.match(result.error ?? "", /^Cannot back up VM 101: Cannot run "vzdump": it is not installed$/);
});

Deno.test("dumpGuest() tells a silent success from an archive that is not whole", async () => {
  const errorOf = async (source: ByteSource) => (await dumped(source)).result.error ?? "";
  assert.match(
    await errorOf(new TestSource(new Uint8Array(0))),
    /without a byte; it does so for a guest of another node$/,
  );
  for (const bytes of [VMA.subarray(0, -1), VMA.subarray(0, 5), new Uint8Array(100_000)]) {
    const said = await errorOf(new TestSource(bytes));
    assert.match(said, /no whole archive/, `${bytes.byteLength} bytes`);
    assert.doesNotMatch(said, /without a byte/);
  }
});

Deno.test("dumpGuest() does not say of a dump it cut off itself that vzdump ended well", async () => {
  const endless = new TestSource(new Uint8Array(10_000_000), { chunk: 4096 });
  const { result } = await dumped(endless);
  assert.ok(endless.delivered < 10_000_000);
  assert.doesNotMatch(result.error ?? "", /ended well/);
});

Deno.test("dumpGuest() ends with the reason of the stop, before and while it runs", async () => {
  const reason = new Error("Interrupted by SIGTERM");
  const before = await dumped(new TestSource(VMA), { stop: AbortSignal.abort(reason) });
  assert.match(before.result.error ?? "", /Interrupted by SIGTERM$/);

  const stop = new AbortController();
  const source = new TestSource(VMA, { chunk: 1000, pause: () => Promise.resolve(stop.abort(reason)) });
  const { result } = await dumped(source, { stop: stop.signal });
  assert.equal(result.archive, undefined);
  assert.match(result.error ?? "", /Interrupted by SIGTERM$/);
  assert.ok(source.cancels.length > 0);
});

Deno.test("dumpGuest() bears a dump that cannot be cancelled when it is stopped", async () => {
  const stop = new AbortController();
  const source = new TestSource(VMA, {
    chunk: 1000,
    pause: () => Promise.resolve(stop.abort(new Error("Interrupted"))),
  });
  source.cancel = () => Promise.reject(new Error("vzdump does not end"));
  const { result } = await dumped(source, { stop: stop.signal, sink: { ...SINK, store: SINK.store } });
  await new Promise((resolve) => setTimeout(resolve, 10)); // an unhandled rejection would end the run here
  assert.equal(result.archive, undefined);
});
