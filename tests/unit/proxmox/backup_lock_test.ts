import assert from "node:assert/strict";
import { isVzdumpRunning, removeBackupLock } from "../../../src/proxmox/backup_lock.ts";
import { connectNode } from "../../../src/proxmox/cluster.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { needs } from "../../needs.ts";
import { SimNode } from "../../pve/mod.ts";

/** A simulated node with VM 101 locked, and a file that stands for vzdump's lock. */
async function makeNode() {
  const sim = await SimNode.create({ guests: [{ vmid: 101 }, { vmid: 105, kind: "lxc" }] });
  sim.setLock(101, "backup");
  sim.setLock(105, "migrate");
  const node = await connectNode(new LocalRunner({ env: { PATH: sim.path } }));
  const lockFile = `${sim.dir}/vzdump.lock`;
  return { sim, node, lockFile, [Symbol.asyncDispose]: () => sim.dispose() };
}

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, fn, ...needs("flock") });
const VM = { kind: "qemu", vmid: 101 } as const;

test("removeBackupLock() unlocks a guest, whether vzdump ever ran since the node's start or not", async () => {
  await using made = await makeNode();
  const { sim, node, lockFile } = made;
  await removeBackupLock(node, VM, lockFile);
  assert.equal(sim.guest(101)?.lock, undefined);
  sim.setLock(101, "backup");
  await Deno.writeTextFile(lockFile, "");
  await removeBackupLock(node, VM, lockFile);
  assert.equal(sim.guest(101)?.lock, undefined);
});

test("removeBackupLock() refuses while a vzdump holds the node's lock", async () => {
  await using made = await makeNode();
  const { sim, node, lockFile } = made;
  using lock = await Deno.open(lockFile, { write: true, create: true });
  assert.equal(await isVzdumpRunning(node.runner, lockFile), false);
  await lock.lock(true);
  assert.equal(await isVzdumpRunning(node.runner, lockFile), true);
  await assert.rejects(removeBackupLock(node, VM, lockFile), {
    message: "Cannot unlock VM 101: a vzdump is at work on its node",
  });
  assert.equal(sim.guest(101)?.lock, "backup");
});

test("removeBackupLock() refuses guests that have no lock of a backup, or are not there", async () => {
  await using made = await makeNode();
  const { sim, node, lockFile } = made;
  await assert.rejects(
    removeBackupLock(node, { kind: "lxc", vmid: 105 }, lockFile),
    /CT 105: it is not locked/,
  );
  await assert.rejects(
    removeBackupLock(node, { kind: "qemu", vmid: 999 }, lockFile),
    /VM 999: it is not locked/,
  );
  assert.equal(sim.guest(105)?.lock, "migrate");
  assert.equal(await isVzdumpRunning(node.runner, `${lockFile}.none`), false);
});
