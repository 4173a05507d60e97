import assert from "node:assert/strict";
import { prove } from "../../../src/restore_test/proof.ts";
import { exits, standInNode } from "../proxmox/node_stand_in.ts";
import { runningClock } from "../proxmox/running_clock.ts";

Deno.test("prove() gives a guest all of its time though the clock is set forward", async () => {
  using _ = runningClock();
  let asked = 0;
  const node = standInNode({
    run: ([, command]) =>
      command === "status"
        ? "status: running\n"
        : ++asked < 3
        ? exits(255, "QEMU guest agent is not running")
        : "",
  });
  const stop = new AbortController().signal;
  const proof = await prove(node, { vmid: 101, kind: "qemu" }, { agent: "1" }, { timeout: 20, stop });
  assert.equal(proof.outcome, "passed");
});
