import assert from "node:assert/strict";
import { destroyGuest, guestStatus, startGuest, stopGuest } from "../../../src/proxmox/guest_control.ts";
import { commandCutOff } from "../../../src/runner/command_error.ts";
import type { GuestKind } from "../../../src/core/guest.ts";
import { type Answer, exits, standInNode } from "./node_stand_in.ts";
import { complaints, RELEASES } from "./pve_options.ts";
import { runningClock } from "./running_clock.ts";

const VM = { vmid: 101, kind: "qemu" as const, node: "pve1" };
const CT = { vmid: 105, kind: "lxc" as const, node: "pve2" };

/** A node with one guest whose status and commands a test decides; `did` is what was done to it. */
function guestNode(kind: GuestKind, states: string[], commands: Record<string, Answer> = {}) {
  const did: string[] = [];
  const node = standInNode({
    run: (argv) => {
      const [, command = "", ...rest] = argv;
      if (command === "status") {
        return `status: ${states.length > 1 ? states.shift() : states[0]}\n`;
      }
      did.push([command, ...rest].join(" "));
      return commands[command] ?? "";
    },
  });
  return { node, did, guest: kind === "qemu" ? VM : CT };
}

/** Fails if a release would refuse one of the calls that the node got. */
function assertAccepted(calls: readonly (readonly string[])[]): void {
  const own = calls.filter(([tool]) => tool !== "pvesh");
  assert.ok(own.length > 0);
  for (const release of RELEASES) {
    for (const argv of own) assert.deepEqual(complaints(release, argv), [], `${release}: ${argv.join(" ")}`);
  }
}

Deno.test("guestStatus() reads each tool's answer", async () => {
  const status = (said: string) => guestStatus(standInNode({ run: () => said }), VM);
  assert.equal(await status("status: running\n"), "running");
  assert.equal(await status("status: io-error\n"), "io-error");
  assert.equal(await status("perl: warning\nstatus: stopped\n"), "stopped");
  assert.equal(await status(""), "unknown");
});

Deno.test("guestStatus() says which guest could not be asked, and why", async () => {
  const said = "Configuration file 'nodes/pve1/qemu-server/101.conf' does not exist";
  const node = standInNode({ run: () => exits(2, said) });
  await assert.rejects(
    guestStatus(node, VM),
    /^UserError: Cannot read the state of VM 101: .*does not exist/,
  );
});

for (const kind of ["qemu", "lxc"] as const) {
  Deno.test(`stopGuest() leaves a stopped ${kind} guest alone`, async () => {
    const { node, did, guest } = guestNode(kind, ["stopped"]);
    await stopGuest(node, guest, 60);
    assert.deepEqual(did, []);
  });

  Deno.test(`stopGuest() shuts a running ${kind} guest down, hard after its time`, async () => {
    const { node, did, guest } = guestNode(kind, ["running", "stopped"]);
    await stopGuest(node, guest, 42);
    assert.deepEqual(did, [`shutdown ${guest.vmid} --timeout 42 --forceStop 1`]);
    assertAccepted(node.runner.calls);
  });

  Deno.test(`stopGuest() stops a ${kind} guest that cannot be shut down`, async () => {
    const refused = exits(255, "VM is paused - cannot shutdown");
    const { node, did, guest } = guestNode(kind, ["paused", "paused", "stopped"], { shutdown: refused });
    await stopGuest(node, guest, 1);
    assert.deepEqual(did.map((line) => line.split(" ")[0]), ["shutdown", "stop"]);
    assertAccepted(node.runner.calls);
  });

  Deno.test(`stopGuest() takes a ${kind} guest that has just stopped by itself`, async () => {
    const refused = exits(2, `CT ${CT.vmid} not running`);
    const { node, did, guest } = guestNode(kind, ["running", "stopped"], { shutdown: refused });
    await stopGuest(node, guest, 1);
    assert.equal(did.length, 1);
  });

  Deno.test(`stopGuest() does not stop a ${kind} guest hard whose shutdown it lost sight of`, async () => {
    const lost = commandCutOff(["qm"], { status: -1, logTail: "" }, new Error("lost the connection"));
    const { node, did, guest } = guestNode(kind, ["running"], { shutdown: lost });
    await assert.rejects(stopGuest(node, guest, 1), /lost the connection/);
    assert.deepEqual(did.map((line) => line.split(" ")[0]), ["shutdown"]);
  });

  Deno.test(`startGuest() waits until a ${kind} guest is seen running`, async () => {
    const { node, did, guest } = guestNode(kind, ["stopped", "running"]);
    await startGuest(node, guest);
    assert.deepEqual(did, [`start ${guest.vmid}`]);
    assertAccepted(node.runner.calls);
  });

  Deno.test(`stopGuest() and startGuest() wait for a ${kind} guest though the clock is set forward`, async () => {
    using _ = runningClock();
    const { node, guest } = guestNode(kind, ["running", "running", "stopped", "stopped", "running"]);
    await stopGuest(node, guest, 1);
    await startGuest(node, guest);
    assert.equal(await guestStatus(node, guest), "running");
  });

  Deno.test(`destroyGuest() removes a ${kind} guest and nothing of its surroundings`, async () => {
    const { node, did, guest } = guestNode(kind, ["stopped"]);
    await destroyGuest(node, guest);
    assert.deepEqual(did, [`destroy ${guest.vmid}`]);
    assertAccepted(node.runner.calls);
  });
}

Deno.test("startGuest() says why a guest did not start", async () => {
  const { node, guest } = guestNode("qemu", ["stopped"], { start: exits(255, "VM is locked (create)") });
  await assert.rejects(startGuest(node, guest), /^UserError: Cannot start VM 101: .*VM is locked \(create\)/);
});

Deno.test("stopGuest() says why a guest could not be stopped", async () => {
  const locked = exits(255, "VM is locked (backup)");
  const { node, guest } = guestNode("qemu", ["running"], { shutdown: locked, stop: locked });
  await assert.rejects(
    stopGuest(node, guest, 1),
    /^UserError: Cannot stop VM 101: .*VM is locked \(backup\)/,
  );
});
