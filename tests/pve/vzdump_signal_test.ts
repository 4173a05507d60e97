import assert from "node:assert/strict";
import { SimNode, type SimOptions } from "./mod.ts";
import type { Faults } from "./state.ts";
import { names, run, start, until } from "./test_tools.ts";

const VM = { vmid: 101, disks: [{ key: "scsi0", size: "64M", synthetic: true }] };
const CT = { vmid: 105, kind: "lxc" as const, disks: [{ key: "rootfs", size: "64M", synthetic: true }] };
const SLOW: Faults = { bytesPerSecond: 2_000_000 };

interface Running {
  node: SimNode;
  child: Deno.ChildProcess;
  /** Everything on stderr so far, when it is read. */
  log: () => string;
  logEnded: Promise<void>;
}

/** A `vzdump --stdout` of `vmid` that is under way, its log being read. */
async function underWay(
  vmid: number,
  faults: Faults,
  use: (running: Running) => Promise<void>,
  options: SimOptions = {},
): Promise<void> {
  await using node = await SimNode.create({ guests: [VM, CT], ...options });
  node.fault(vmid, faults);
  const child = start(node, "vzdump", [vmid, "--stdout", 1, "--dumpdir", node.dumpDir]);
  let text = "";
  const logEnded = child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (chunk) => void (text += chunk) }),
  );
  await until("the guest is locked", () => node.locks().guests[vmid] === "backup");
  await use({ node, child, log: () => text, logEnded });
}

/** Reads stdout until it ends. */
async function drain(child: Deno.ChildProcess): Promise<number> {
  let bytes = 0;
  for await (const chunk of child.stdout) bytes += chunk.length;
  return bytes;
}

function assertClean(node: SimNode): void {
  assert.deepEqual(node.locks(), { guests: {}, vzdump: false });
  assert.deepEqual(node.processes(), []);
  assert.deepEqual(names(node.dumpDir).filter((name) => !name.endsWith(".log")), []);
}

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
  Deno.test(`${signal} to vzdump of a VM cleans up and ends with 255`, () =>
    underWay(101, SLOW, async ({ node, child, log, logEnded }) => {
      const bytes = drain(child);
      await until("the backup runs", () => log().includes("resuming VM again"));
      child.kill(signal);
      assert.equal((await child.status).code, 255);
      await Promise.all([bytes, logEnded]);
      assert.match(
        log(),
        /ERROR: interrupted by signal\nINFO: aborting backup job\n[^]*ERROR: Backup of VM 101 failed - interrupted by signal\n[^]*ERROR: Backup job failed - interrupted by signal\ninterrupted by signal\n$/,
      );
      assertClean(node);
    }));
}

Deno.test("SIGTERM to vzdump of a container is the failure of its tar", () =>
  underWay(105, SLOW, async ({ node, child, log, logEnded }) => {
    const bytes = drain(child);
    await until("the snapshot stands", () => node.guest(105)!.config.includes("[vzdump]"));
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 255);
    await bytes;
    await logEnded;
    assert.match(
      log(),
      /ERROR: Backup of VM 105 failed - command '.*' failed: interrupted by signal\n[^]*job errors\n$/,
    );
    assert.match(log(), /cleanup temporary 'vzdump' snapshot/);
    assert.doesNotMatch(node.guest(105)!.config, /\[vzdump\]/);
    assertClean(node);
  }));

Deno.test("SIGTERM while the reader of stdout stalls works too", () =>
  underWay(101, {}, async ({ node, child, logEnded }) => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 255);
    await child.stdout.cancel();
    await logEnded;
    assertClean(node);
  }));

Deno.test("a stopped VM is stopped again after SIGTERM", () =>
  underWay(101, SLOW, async ({ node, child, logEnded }) => {
    const bytes = drain(child);
    await until("the VM is in prelaunch", () => node.guest(101)!.status === "prelaunch");
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 255);
    await Promise.all([bytes, logEnded]);
    assert.equal(node.guest(101)!.status, "stopped");
    assertClean(node);
  }, { guests: [{ ...VM, status: "stopped" }] }));

Deno.test("SIGTERM during the cleanup cuts it: the guest stays locked", () =>
  underWay(101, { failAfterBytes: 20_000, cleanupSeconds: 4 }, async ({ node, child, log, logEnded }) => {
    const bytes = drain(child);
    await until("the cleanup has begun", () => log().includes("Input/output error"));
    child.kill("SIGTERM");
    assert.equal((await child.status).code, 255);
    await Promise.all([bytes, logEnded]);
    assert.deepEqual(node.locks(), { guests: { 101: "backup" }, vzdump: false });
    assert.ok(names(node.dumpDir).some((name) => name.endsWith(".tmp")));
  }));

for (
  const [vmid, text] of [
    [
      101,
      /ERROR: vma_queue_write: write error - Broken pipe\nINFO: aborting backup job\n[^]*INFO: resuming VM again\nERROR: Backup of VM 101 failed - vma_queue_write: write error - Broken pipe\n[^]*job errors\n$/,
    ],
    [
      106,
      /ERROR: Backup of VM 106 failed - command 'set -o pipefail && .*tar cpf - .*' failed: got signal 13\n[^]*job errors\n$/,
    ],
  ] as const
) {
  Deno.test(`a reader of stdout that goes away fails guest ${vmid}, and the cleanup is complete`, () =>
    underWay(vmid, { bytesPerSecond: 200_000 }, async ({ node, child, log, logEnded }) => {
      const reader = child.stdout.getReader();
      await reader.read();
      await reader.cancel();
      assert.equal((await child.status).code, 255);
      await logEnded;
      assert.match(log(), text);
      assertClean(node);
    }, { guests: [VM, { vmid: 106, kind: "lxc", unprivileged: false }] }));
}

Deno.test("with a compressor a VM's failure names it", async () => {
  await using node = await SimNode.create({ guests: [VM] });
  node.fault(101, { bytesPerSecond: 500_000 });
  const child = start(node, "vzdump", [101, "--stdout", 1, "--compress", "zstd", "--dumpdir", node.dumpDir]);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const log = await new Response(child.stderr).text();
  assert.equal((await child.status).code, 255);
  assert.match(
    log,
    /ERROR: vma_queue_write: write error - Broken pipe\n[^]*zstd --threads=1 failed - wrong exit status \d+\n/,
  );
  assertClean(node);
});

Deno.test("with a compressor tar's pipeline fails with exit code 141", async () => {
  await using node = await SimNode.create({ guests: [{ vmid: 106, kind: "lxc" }] });
  node.fault(106, { bytesPerSecond: 20_000 });
  const child = start(node, "vzdump", [106, "--stdout", 1, "--compress", "gzip", "--dumpdir", node.dumpDir]);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  const log = await new Response(child.stderr).text();
  assert.equal((await child.status).code, 255);
  assert.match(log, /ERROR: Backup of VM 106 failed - command '.*' failed: (exit code 141|got signal 13)\n/);
  assertClean(node);
});

for (const signal of ["SIGKILL", "SIGHUP"] as const) {
  Deno.test(`${signal} to vzdump leaves the worker, whose next log line leaves the lock behind`, () =>
    underWay(101, SLOW, async ({ node, child, logEnded }) => {
      const bytes = drain(child);
      await until("the VM is in prelaunch", () => node.guest(101)!.status === "prelaunch");
      child.kill(signal);
      const status = await child.status;
      assert.equal(status.code, signal === "SIGKILL" ? 137 : 129);
      assert.equal(node.processes().length, 1);
      assert.equal(node.locks().vzdump, true);
      await Promise.all([bytes, logEnded]);
      await until("the worker has ended", () => node.processes().length === 0);
      await until("the node's lock is free", () => !node.locks().vzdump);
      assert.deepEqual(node.locks().guests, { 101: "backup" });
      assert.equal(node.guest(101)!.status, "prelaunch");
      assert.equal((await run(node, "vzdump", [101, "--dumpdir", node.dumpDir])).code, 255);
    }, { guests: [{ ...VM, status: "stopped" }], knobs: { progressMs: 500 } }));
}

Deno.test("a reader of the log that goes away leaves the guest locked", async () => {
  await using node = await SimNode.create({ guests: [VM], knobs: { progressMs: 300, timeScale: 0.2 } });
  node.fault(101, SLOW);
  const child = start(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  const reader = child.stdout.getReader();
  assert.equal((await reader.read()).done, false);
  reader.releaseLock();
  const bytes = drain(child);
  await child.stderr.cancel();
  assert.equal((await child.status).code, 255);
  await bytes;
  assert.deepEqual(node.processes(), []);
  assert.deepEqual(node.locks(), { guests: { 101: "backup" }, vzdump: false });
});

Deno.test("vzdump --stop ends the run that holds the lock", () =>
  underWay(101, SLOW, async ({ node, child, log, logEnded }) => {
    const bytes = drain(child);
    assert.equal((await run(node, "vzdump", ["--stop", 1])).code, 0);
    assert.equal((await child.status).code, 255);
    await Promise.all([bytes, logEnded]);
    assert.match(log(), /interrupted by signal\n$/);
    assertClean(node);
  }));
