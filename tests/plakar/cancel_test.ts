import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { type Bed, changes, describe, eventually, makeBed, type Running, untidiness } from "./bed.ts";

const MIB = 1024 * 1024;

/** Longer than the time that a vzdump gets which writes nothing and so notices nothing. */
const SECONDS = 30;

/** How plakar is ended. */
const ENDS: Record<string, (running: Running) => void> = {
  "Ctrl-C": ({ signalGroup }) => signalGroup("SIGINT"),
  "SIGKILL of plakar": ({ pid }) => Deno.kill(pid, "SIGKILL"),
  "SIGKILL of plakar and its plugin at once": ({ signalGroup }) => signalGroup("SIGKILL"),
};

for (const [what, end] of Object.entries(ENDS)) {
  Deno.test({
    name: `${what} during a backup leaves a clean node and no snapshot`,
    ...needs("go"),
    async fn() {
      await using bed = await makeBed({
        guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "256M", synthetic: true }] }],
      });
      // 1. A dump is under way.
      bed.node.fault(101, { bytesPerSecond: 8 * MIB, cleanupSeconds: 1 });
      const running = bed.start("at", bed.store, "backup", "-o", "vmid=101", "@pve");
      await eventually("101 is being dumped", () => bed.node.locks().guests[101] !== undefined);
      await pause(1000);
      // 2. It is ended.
      await endWith(bed, end, running);
      // 3. vzdump has cleaned up after itself.
      await eventuallyTidy(bed);
      assert.deepEqual(await bed.snapshots(), []);
      // 4. Nothing stands in the way of the next backup.
      bed.node.fault(101, {});
      await bed.backup("vmid=101");
    },
  });

  Deno.test({
    name: `${what} while an archive is on its way to the node: no guest is touched, nothing stays`,
    ...needs("go"),
    async fn() {
      await using bed = await makeBed({
        guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "256M", synthetic: true }] }],
      });
      const { id } = await bed.backup("vmid=101");
      // 1. The archive is arriving.
      const running = bed.start("at", bed.store, "restore", "-to", "@pve", id);
      await eventually("the archive is being staged", () => staged(bed) > 0);
      // 2. It is ended.
      await endWith(bed, end, running);
      // 3. The running guest was left alone, and the staged part is gone.
      await eventuallyTidy(bed);
      assert.deepEqual(changes(bed), []);
      assert.equal(bed.node.guest(101)?.status, "running");
    },
  });

  Deno.test({
    name: `${what} while a guest is restored: the restore tool finishes, nothing stays`,
    ...needs("go"),
    async fn() {
      await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "64M" }] }] });
      const { id } = await bed.backup("vmid=101");
      const digest = bed.node.sha256(101, "scsi0");
      bed.node.destroyGuest(101);
      // 1. qmrestore is at work.
      const running = bed.start("at", bed.store, "restore", "-to", "@pve", id);
      await eventually("qmrestore runs", () => changes(bed).length > 0);
      // 2. It is ended.
      await endWith(bed, end, running);
      // 3. The guest is whole.
      await eventuallyTidy(bed);
      const exits = bed.node.calls().filter(({ tool }) => tool === "qmrestore").map(({ exit }) => exit);
      assert.deepEqual(exits, [0]);
      assert.equal(bed.node.sha256(101, "scsi0"), digest);
    },
  });
}

Deno.test({
  name:
    "SIGKILL of plakar and its plugin while vzdump has not written anything yet frees the guest all the same",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [{ vmid: 101 }] });
    bed.node.fault(101, { hangAfterBytes: 0 });
    const running = bed.start("at", bed.store, "backup", "-o", "vmid=101", "@pve");
    await eventually("101 is locked", () => bed.node.locks().guests[101] !== undefined);
    await endWith(bed, ({ signalGroup }) => signalGroup("SIGKILL"), running);
    await eventuallyTidy(bed);
  },
});

async function endWith(bed: Bed, end: (running: Running) => void, running: Running): Promise<void> {
  assert.equal(bed.plugins().length, 1);
  end(running);
  const said = await running.finished;
  assert.notEqual(said.status, 0, describe(said));
  assert.doesNotMatch(said.stderr, /file:\/\/|\n {4}at /);
}

async function eventuallyTidy(bed: Bed): Promise<void> {
  const isTidy = () => untidiness(bed) === undefined && bed.plugins().length === 0;
  await eventually("the node is tidy", isTidy, SECONDS).catch((error) => {
    throw new Error(`${error.message}: ${untidiness(bed)}, plugins: ${bed.plugins()}`);
  });
}

/** Bytes that stand in staged archives. */
function staged(bed: Bed, folder = bed.node.dumpDir): number {
  let bytes = 0;
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    try {
      bytes += isDirectory ? staged(bed, path) : Deno.statSync(path).size;
    } catch {
      // Gone between two looks.
    }
  }
  return bytes;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
