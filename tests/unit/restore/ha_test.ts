import assert from "node:assert/strict";
import type { GuestSpec, SimNode } from "../../pve/mod.ts";
import { until } from "../../pve/test_tools.ts";
import { dumpAndRestore } from "./dumped.ts";
import { reasonsOf } from "./surroundings.ts";

const GUESTS: GuestSpec[] = [
  { vmid: 101, name: "web", ha: "started" },
  { vmid: 105, kind: "lxc", name: "mail", ha: "started" },
];
const SIM = { knobs: { haDelayMs: 400 } };

/** What is requested of the HA manager, whether it has given up on the guest, and the guest's own state. */
function haOf(sim: SimNode, vmid: number) {
  const { ha, haError = false, status } = sim.state().guests[vmid]!;
  return { ha, haError, status };
}

const UP = { ha: "started", haError: false, status: "running" };

for (const guest of GUESTS) {
  const { vmid } = guest;
  const [tool, service] = guest.kind === "lxc" ? ["pct", `ct:${vmid}`] : ["qm", `vm:${vmid}`];

  Deno.test(`restore() has the HA manager stop a ${tool} guest and start it again`, async () => {
    await using done = await dumpAndRestore({ guests: [guest], sim: SIM });
    assert.deepEqual([done.entry.outcome, done.entry.error, done.entry.warnings], ["good", undefined, []]);
    assert.deepEqual(done.plan.ha, { requested: "started", after: "started" });
    assert.equal(done.entry.replaced?.ha, "started");
    assert.deepEqual(haOf(done.sim, vmid), UP);
  });

  Deno.test(`restore() asks HA for the ${tool} guest again when the tool left it intact`, async () => {
    await using done = await dumpAndRestore({
      guests: [guest],
      sim: SIM,
      afterPlan: (sim) => sim.fault(vmid, { restoreFailsBeforeDestroy: "no quorum" }),
    });
    assert.match(done.entry.error ?? "", /no quorum; .*intact and was started again$/);
    assert.deepEqual(haOf(done.sim, vmid), UP);
  });

  Deno.test(`restore() leaves a lost ${tool} guest stopped to HA, and says how to go on`, async () => {
    await using done = await dumpAndRestore({
      guests: [guest],
      sim: SIM,
      afterPlan: (sim) => sim.fault(vmid, { restoreFailsAfterDestroy: "disk full" }),
    });
    const left = new RegExp(
      `is lost; .*; HA leaves ${service} stopped: ha-manager set ${service} --state started$`,
    );
    assert.match(done.entry.error ?? "", left);
  });

  Deno.test(`restore() has HA keep a ${tool} guest stopped that is not to be started`, async () => {
    await using done = await dumpAndRestore({ guests: [guest], sim: SIM, settings: { start: "never" } });
    assert.equal(done.entry.outcome, "good");
    assert.deepEqual(done.plan.ha, { requested: "started", after: "stopped" });
    assert.deepEqual(haOf(done.sim, vmid), { ha: "stopped", haError: false, status: "stopped" });
    assert.match(done.notes.join("\n"), new RegExp(`ha-manager set ${service} --state started`));
  });
}

Deno.test("restore() keeps HA from starting a stopped guest in the middle, and has it started afterwards", async () => {
  await using done = await dumpAndRestore({
    guests: [{ ...GUESTS[0]!, status: "stopped", ha: "ignored" }],
    sim: SIM,
    // As after a crash: the manager is about to start it.
    beforePlan: (sim) => sim.change((state) => state.guests[101]!.ha = "started"),
  });
  assert.equal(done.entry.outcome, "good", done.entry.error);
  await until("HA has started the guest", () => haOf(done.sim, 101).status === "running");
  assert.deepEqual(haOf(done.sim, 101), UP);
});

Deno.test("restore() waits for a guest under HA that takes its time to shut down", async () => {
  for (const shutdownTimeout of [5, 600]) {
    await using done = await dumpAndRestore({
      guests: [GUESTS[0]!],
      sim: SIM,
      shutdownTimeout,
      afterPlan: (sim) => sim.fault(101, { shutdownMs: 2000 }),
    });
    assert.equal(done.entry.outcome, "good", done.entry.error);
    const asked = done.done.filter((call) => /shutdown|--state/.test(call));
    assert.deepEqual(asked, [
      shutdownTimeout > 60
        ? "qm shutdown 101 --timeout 600 --forceStop 1"
        : "pvesh set /cluster/ha/resources/vm:101 --state stopped",
    ]);
    assert.deepEqual(haOf(done.sim, 101), UP);
  }
});

Deno.test("restore() leaves what HA was told to keep stopped, or to ignore, as it was", async () => {
  for (const ha of ["stopped", "disabled", "ignored"]) {
    await using done = await dumpAndRestore({ guests: [{ ...GUESTS[0]!, ha, status: "stopped" }], sim: SIM });
    assert.equal(done.entry.outcome, "good", done.entry.error);
    assert.deepEqual(haOf(done.sim, 101), { ha, haError: false, status: "stopped" });
    assert.ok(!done.done.some((call) => call.startsWith("pvesh set")), done.done.join("\n"));
  }
});

Deno.test("restore() stops a running guest itself that HA ignores", async () => {
  await using done = await dumpAndRestore({ guests: [{ ...GUESTS[0]!, ha: "ignored" }], sim: SIM });
  assert.equal(done.entry.outcome, "good", done.entry.error);
  assert.deepEqual(haOf(done.sim, 101), { ha: "ignored", haError: false, status: "running" });
});

Deno.test("planRestores() refuses a guest that the HA manager has given up on", async () => {
  await using done = await dumpAndRestore({
    guests: [GUESTS[0]!],
    sim: SIM,
    carriesOut: false,
    beforePlan: (sim) => sim.change((state) => state.guests[101]!.haError = true),
  });
  assert.deepEqual(reasonsOf(done.plan), ['its HA resource vm:101 is in state "error"']);
  assert.match(done.plan.refusals[0]?.hint ?? "", /ha-manager set vm:101 --state disabled$/);
});

Deno.test("restore() touches nothing when HA was told otherwise since the plan", async () => {
  await using done = await dumpAndRestore({
    guests: [{ ...GUESTS[0]!, ha: "stopped", status: "stopped" }],
    sim: SIM,
    afterPlan: (sim) => sim.change((state) => state.guests[101]!.ha = "ignored"),
  });
  assert.match(done.entry.error ?? "", /has changed since the plan was made; nothing was changed/);
});
