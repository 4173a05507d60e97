import assert from "node:assert/strict";
import { SimNode } from "./mod.ts";
import type { Faults } from "./state.ts";
import { names, run, start, until } from "./test_tools.ts";

const VM = { vmid: 101, disks: [{ key: "scsi0", size: "4M", synthetic: true }] };
const WHOLE = 4 * 1024 * 1024;

/** `vzdump --stdout` of a VM (101) or container (105) that is told to fail. */
async function dump(vmid: number, faults: Faults, extra: string[] = []) {
  await using node = await SimNode.create({ guests: [VM, { vmid: 105, kind: "lxc" }] });
  node.fault(vmid, faults);
  const outcome = await run(node, "vzdump", [vmid, "--stdout", 1, "--dumpdir", node.dumpDir, ...extra]);
  assert.deepEqual(node.locks(), { guests: {}, vzdump: false });
  assert.deepEqual(names(node.dumpDir).filter((name) => !name.endsWith(".log")), []);
  return outcome;
}

for (const vmid of [101, 105]) {
  Deno.test(`vzdump ${vmid} told to fail at the start sends nothing`, async () => {
    const { code, bytes, stderr } = await dump(vmid, { failAtStart: "simulated" });
    assert.equal(code, 255);
    assert.equal(bytes.length, 0);
    assert.match(stderr, new RegExp(`ERROR: Backup of VM ${vmid} failed - simulated\n[^]*job errors\n$`));
  });

  Deno.test(`vzdump ${vmid} told to fail after N bytes sends exactly those`, async () => {
    const { code, bytes } = await dump(vmid, { failAfterBytes: 40_000 });
    assert.equal(code, 255);
    assert.equal(bytes.length, 40_000);
  });

  Deno.test(`vzdump ${vmid} told to fail after the last byte has sent all`, async () => {
    const whole = await dump(vmid, {});
    const { code, bytes } = await dump(vmid, { failAfterLastByte: true });
    assert.equal(code, 255);
    assert.equal(bytes.length, whole.bytes.length);
  });

  Deno.test(`vzdump ${vmid} told to send nothing still succeeds`, async () => {
    const { code, bytes } = await dump(vmid, { emptyStream: true });
    assert.deepEqual([code, bytes.length], [0, 0]);
  });

  Deno.test(`vzdump ${vmid} told to cut the stream does it silently, compressed or not`, async () => {
    for (const compress of ["0", "zstd"]) {
      const { code, bytes, stderr } = await dump(vmid, { cutAtBytes: 30_000 }, ["--compress", compress]);
      assert.deepEqual([code, bytes.length], [0, 30_000]);
      assert.doesNotMatch(stderr, /ERROR/);
    }
  });

  Deno.test(`vzdump ${vmid} told to give the wrong kind does`, async () => {
    const { code, bytes } = await dump(vmid, { wrongKind: true });
    assert.equal(code, 0);
    const magic = new TextDecoder().decode(vmid === 101 ? bytes.subarray(257, 262) : bytes.subarray(0, 3));
    assert.equal(magic, vmid === 101 ? "ustar" : "VMA");
  });

  Deno.test(`vzdump ${vmid} told to flip a byte flips that one`, async () => {
    const good = await dump(vmid, {});
    const { code, bytes } = await dump(vmid, { flipByteAt: 1 });
    assert.equal(code, 0);
    assert.equal(bytes[1], ~good.bytes[1]! & 0xff);
    assert.equal(bytes[0], good.bytes[0]);
  });
}

Deno.test("vzdump can print a huge or binary log without touching the stream", async () => {
  const { code, bytes, stderr } = await dump(101, { hugeLogBytes: 3_000_000, binaryLog: true });
  assert.equal(code, 0);
  assert.ok(bytes.length > WHOLE);
  assert.ok(stderr.length > 3_000_000);
});

Deno.test("vzdump with a warning succeeds and says so on stderr", async () => {
  const { code, stderr } = await dump(101, { warning: "something odd" });
  assert.equal(code, 0);
  assert.match(stderr, /WARN: something odd\n[^]*Task finished with 1 warning\(s\)!\n$/);
});

Deno.test("vzdump can be slow, by its own doing or by --bwlimit", async () => {
  const began = Date.now();
  await dump(101, { bytesPerSecond: 3_000_000 });
  await dump(101, {}, ["--bwlimit", "3000"]);
  assert.ok(Date.now() - began > 2000);
});

Deno.test("vzdump without a reader of its log blocks once the pipe is full", async () => {
  await using node = await SimNode.create({ guests: [VM] });
  node.fault(101, { hugeLogBytes: 2_000_000 });
  const child = start(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  let bytes = 0;
  const drained = (async () => {
    for await (const chunk of child.stdout) bytes += chunk.length;
  })();
  const waited = new Promise<"waited">((resolve) => setTimeout(() => resolve("waited"), 1500));
  assert.equal(await Promise.race([drained, waited]), "waited");
  assert.equal(bytes, 0);
  await child.stderr.pipeTo(new WritableStream());
  await drained;
  assert.ok(bytes > WHOLE);
  assert.equal((await child.status).code, 0);
});

Deno.test("vzdump holds back the first byte as long as it is told", async () => {
  await using node = await SimNode.create({ guests: [VM] });
  node.fault(101, { hangAfterBytes: 0 });
  const child = start(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  const log = child.stderr.pipeTo(new WritableStream());
  await until("the guest is locked", () => node.locks().guests[101] === "backup");
  assert.equal(node.processes().length, 1);
  child.kill("SIGTERM");
  await child.stdout.pipeTo(new WritableStream());
  assert.equal((await child.status).code, 255);
  await log;
  assert.deepEqual(node.locks(), { guests: {}, vzdump: false });
});

Deno.test("a VM that qm resumes during its backup stays up", async () => {
  await using node = await SimNode.create({ guests: [{ ...VM, status: "stopped" }] });
  node.fault(101, { bytesPerSecond: 2_000_000 });
  const child = start(node, "vzdump", [101, "--stdout", 1, "--dumpdir", node.dumpDir]);
  const ended = child.output();
  await until("the VM is in prelaunch", () => node.guest(101)!.status === "prelaunch");
  assert.equal((await run(node, "qm", ["status", 101])).stdout, "status: prelaunch\n");
  assert.equal((await run(node, "qm", ["start", 101])).code, 0);
  assert.equal((await ended).code, 0);
  assert.equal(node.guest(101)!.status, "running");
});

Deno.test("vzdump waits for the node's lock, or gives up", async () => {
  await using node = await SimNode.create({ guests: [VM, { vmid: 102 }], knobs: { timeScale: 0.01 } });
  node.fault(101, { hangAfterBytes: 1000 });
  const holder = start(node, "vzdump", [101, "--dumpdir", node.dumpDir]);
  await until("the lock is held", () => node.locks().vzdump && node.locks().guests[101] === "backup");
  const refused = await run(node, "vzdump", [102, "--lockwait", 0, "--dumpdir", node.dumpDir]);
  assert.equal(refused.code, 255);
  assert.equal(refused.stdout, "ERROR: can't acquire lock '/var/run/vzdump.lock' - (wait = 0)\n");
  assert.equal(refused.stderr, "got unexpected control message:  \n");
  const late = await run(node, "vzdump", [102, "--lockwait", 1, "--dumpdir", node.dumpDir]);
  assert.match(
    late.stdout,
    /^INFO: trying to get global lock - waiting\.\.\.\nERROR: can't acquire lock .* - got timeout\n$/,
  );
  const patient = run(node, "vzdump", [102, "--dumpdir", node.dumpDir]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  holder.kill("SIGTERM");
  await holder.output();
  const { code, stdout } = await patient;
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^INFO: trying to get global lock - waiting\.\.\.\nINFO: got global lock\nINFO: starting new backup job/,
  );
});
