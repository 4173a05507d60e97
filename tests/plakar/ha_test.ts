import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { type Bed, describe, eventually, makeBed, untidiness } from "./bed.ts";

const MANAGED = {
  guests: [{ vmid: 101, name: "web", ha: "started", disks: [{ key: "scsi0", size: "24M" }] }],
  knobs: { haDelayMs: 400 },
};

/** What is requested of the HA manager, whether it has given up on the guest, and the guest's own state. */
function haOf(bed: Bed) {
  const { ha, haError = false, status } = bed.node.state().guests[101]!;
  return { ha, haError, status };
}

const UP = { ha: "started", haError: false, status: "running" };
const DOWN = { ha: "stopped", haError: false, status: "stopped" };

Deno.test({
  name:
    "plakar restore over a guest under HA: HA keeps it stopped meanwhile and runs it again, whole or failed",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed(MANAGED);
    const { id } = await bed.backup("all=true");
    const before = bed.node.sha256(101, "scsi0");
    bed.node.setConfig(101, { description: "changed since" });

    await t.step("1. qmrestore fails and leaves the guest intact", async () => {
      bed.node.fault(101, { restoreFailsBeforeDestroy: "storage is locked" });
      const said = await bed.restore(id);
      assert.equal(said.status, 1, describe(said));
      assert.match(said.text, /Cannot restore VM 101: .*storage is locked; .*intact and was started again/);
      assert.deepEqual(haOf(bed), UP);
      assert.equal(bed.node.guest(101)?.entries.description, "changed since");
      assert.equal(untidiness(bed), undefined);
      bed.node.fault(101, {});
    });

    await t.step("2. it is replaced", async () => {
      const running = bed.start("at", bed.store, "restore", "-to", "@pve", id);
      await eventually("qmrestore is at work", () => bed.node.guest(101)?.lock === "create");
      assert.deepEqual(haOf(bed), DOWN);
      const said = await running.finished;
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.deepEqual(haOf(bed), UP);
      assert.equal(bed.node.guest(101)?.entries.description, undefined);
      assert.equal(bed.node.sha256(101, "scsi0"), before);
      assert.equal(untidiness(bed), undefined);
    });
  },
});
