import assert from "node:assert/strict";
import type { Guest } from "../../../src/core/guest.ts";
import { haRequest, requestHa, stopManaged, unsettledHa } from "../../../src/proxmox/ha.ts";
import { byPath, exits, standInNode } from "./node_stand_in.ts";
import { runningClock } from "./running_clock.ts";

const guest = (haState?: string): Guest => ({
  vmid: 101,
  kind: "qemu",
  node: "pve1",
  status: "running",
  template: false,
  tags: [],
  ...(haState === undefined ? {} : { haState }),
});

Deno.test("haRequest() reads what is requested of the HA manager, by its defaults and old names", async () => {
  const asked = async (resource: Record<string, unknown>) => {
    const resources = [{ sid: "ct:101", state: "stopped" }, { sid: "vm:101", ...resource }];
    return await haRequest(
      standInNode({ run: byPath({ "/cluster/ha/resources": JSON.stringify(resources) }) }),
      guest("started"),
    );
  };
  assert.equal(await asked({}), "started");
  assert.equal(await asked({ state: "enabled" }), "started");
  assert.equal(await asked({ state: "ignored" }), "ignored");
  assert.equal(await asked({ sid: "vm:102" }), undefined, "it was removed from HA");
});

Deno.test("haRequest() asks nothing of a guest that HA does not know", async () => {
  const node = standInNode({});
  assert.equal(await haRequest(node, guest()), undefined);
  assert.deepEqual(node.runner.calls, []);
});

Deno.test("requestHa() tells what the manager said against it", async () => {
  const error = exits(255, "service 'vm:101' in error state, must be disabled and fixed first", ["pvesh"]);
  await assert.rejects(requestHa(standInNode({ run: () => error }), guest("error"), "stopped"), {
    message:
      /^Cannot change "\/cluster\/ha\/resources\/vm:101" of Proxmox VE on the test node: .*in error state/,
  });
});

Deno.test("stopManaged() waits for the manager though the clock is set forward", async () => {
  using _ = runningClock();
  let looks = 0;
  const listed = { vmid: 101, type: "qemu", node: "pve1", name: "web", hastate: "stopped" };
  const answers = byPath({
    "/cluster/ha/resources": JSON.stringify([{ sid: "vm:101", state: "stopped" }]),
    "/cluster/resources": JSON.stringify([listed]),
  });
  const node = standInNode({
    run: (argv) => argv[1] === "status" ? `status: ${++looks < 3 ? "running" : "stopped"}\n` : answers(argv),
  });
  await stopManaged(node, guest("started"), 60);
  assert.equal(looks, 3);
});

Deno.test("unsettledHa() tells states in which the manager is at work on the guest", () => {
  for (const state of ["error", "fence", "migrate", "recovery"]) {
    assert.equal(unsettledHa(guest(state)), state);
  }
  for (const state of ["started", "stopped", "ignored", undefined]) {
    assert.equal(unsettledHa(guest(state)), undefined);
  }
});
