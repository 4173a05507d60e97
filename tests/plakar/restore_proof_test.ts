import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { describe, makeBed, untidiness } from "./bed.ts";

Deno.test({
  name:
    "plakar restore with restore_test=true proves each archive of a snapshot and leaves the node as it was",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed({
      pools: ["prod"],
      guests: [
        {
          vmid: 101,
          name: "web",
          pool: "prod",
          disks: [{ key: "scsi0", size: "8M" }],
          config: { agent: "1" },
        },
        { vmid: 105, kind: "lxc", name: "mail", status: "stopped", config: { onboot: "1" } },
      ],
    });
    const { id } = await bed.backup("all=true");
    const before = bed.node.state();
    const assertUntouched = () => {
      const { guests, volumes } = bed.node.state();
      assert.deepEqual({ guests, volumes }, { guests: before.guests, volumes: before.volumes });
      assert.equal(untidiness(bed), undefined);
    };

    await t.step("1. both pass, and are gone again", async () => {
      const said = await bed.restore(id, "restore_test=true");
      assert.equal(said.status, 0, describe(said));
      assert.match(said.stderr, /VM 101 "web": passed, the guest agent answered; restored in .*, booted in /);
      assert.match(said.stderr, /CT 105 "mail": passed, a command ran in it/);
      assertUntouched();
    });

    await t.step("2. one that does not start fails the restore, and is gone too", async () => {
      bed.node.fault(100, { startFails: "no bridge vmbr0" });
      bed.node.fault(102, { startFails: "no bridge vmbr0" });
      const said = await bed.restore(id, "restore_test=true");
      assert.equal(said.status, 1, describe(said));
      assert.match(said.text, /Cannot prove "vzdump-qemu-101-.*no bridge vmbr0/);
      assertUntouched();
    });

    await t.step("3. options that say where else it goes are refused", async () => {
      const said = await bed.restore(id, "restore_test=true", "newid=300");
      assert.notEqual(said.status, 0, describe(said));
      assert.match(said.text + said.stderr, /Cannot use newid with restore_test/);
      assertUntouched();
    });
  },
});
