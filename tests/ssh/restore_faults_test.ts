/** What can go wrong while a relay restores over SSH: no guest is lost by it, and the report tells what is true. */
import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import type { GuestSpec } from "../pve/mod.ts";
import { needsSsh } from "./bed.ts";
import type { FaultProxy } from "./proxy.ts";
import { describe, MIB, peakMemory, Relay, type Running } from "./relay.ts";

const GUEST: GuestSpec = { vmid: 101, disks: [{ key: "scsi0", size: "64M" }] };

/** A relay whose guests have been backed up, with a proxy before their node. */
async function backedUp(
  guests: GuestSpec[],
  flags: string[] = [],
): Promise<{ relay: Relay; proxy: FaultProxy }> {
  const relay = await Relay.create({ guests });
  const said = await relay.backup("--all", "--backup-compression", "0");
  assert.equal(said.status, 0, describe(said));
  relay.flags.push(...flags);
  return { relay, proxy: await relay.proxyBefore("pve1") };
}

/** Starts an action of the tools on the node, and waits until it is under way. */
async function startUntil(relay: Relay, step: string, args: string[]): Promise<Running> {
  const count = () => relay.changes.filter((line) => line.startsWith(step)).length;
  const before = count();
  const running = relay.start(["restore", "--from", relay.store, ...args]);
  await eventually(`${step} runs`, () => count() > before);
  return running;
}

/** The guest is there, runs, and has the bytes that were backed up. */
function assertWhole(relay: Relay, digest: string): void {
  assert.equal(relay.bed.sim.guest(101)?.status, "running");
  assert.equal(relay.bed.sim.sha256(101, "scsi0"), digest);
}

Deno.test({
  name: "a connection that is cut while an archive is on its way leaves guest and node as they were",
  ...needsSsh(),
  fn: async () => {
    const { relay, proxy } = await backedUp([GUEST, { vmid: 102 }]);
    await using _relay = relay;
    await using _proxy = proxy;
    const digest = relay.bed.sim.sha256(101, "scsi0");
    proxy.faults = { cut: { direction: "toServer", after: 16 * MIB, by: "rst" } };
    const said = await relay.restore("--all", "--force", "--json");
    assert.equal(said.status, 3, describe(said));
    const [first, second] = said.json;
    assert.deepEqual([first.outcome, second.outcome], ["failed", "good"]);
    assert.match(
      first.error,
      /^Cannot restore VM 101: .*[Ll]ost the connection to "root@.*nothing was changed$/,
    );
    assert.ok(relay.changes.every((line) => !line.includes("101")), relay.changes.join("\n"));
    assertWhole(relay, digest);
    await relay.tidy();
  },
});

for (const transport of ["builtin", "openssh"]) {
  Deno.test({
    name: `a restore that is lost sight of finishes on the node, and the report says so (${transport})`,
    ...needsSsh(),
    fn: async (t) => {
      const { relay, proxy } = await backedUp([GUEST], ["--ssh-transport", transport]);
      await using _relay = relay;
      await using _proxy = proxy;
      const { sim } = relay.bed;
      const digest = sim.sha256(101, "scsi0");
      sim.fault(101, { shutdownMs: 2000 });

      await t.step("the connection is cut while the guest is shut down", async () => {
        const running = await startUntil(relay, "qm shutdown", ["--all", "--force"]);
        proxy.cutNow("fin");
        const said = await running.finished;
        assert.equal(said.status, 1, describe(said));
        assert.match(said.stderr, /^Cannot restore VM 101: .*ost the connection .*was not replaced/m);
        await relay.tidy();
        assert.ok(!relay.changes.some((line) => /^qmrestore|^qm (stop|destroy)/.test(line)));
        assertWhole(relay, digest);
      });

      await t.step("the connection is cut while the guest is replaced", async () => {
        const running = await startUntil(relay, "qmrestore", ["--all", "--force", "--json"]);
        proxy.cutNow("fin");
        const said = await running.finished;
        assert.equal(said.status, 1, describe(said));
        const [{ outcome, error }] = said.json;
        assert.equal(outcome, "failed");
        assert.match(
          error,
          /^Cannot tell whether VM 101 was restored: Lost the connection to "root@.*goes on by itself/,
        );
        await relay.tidy();
        const tools = sim.calls().filter(({ tool }) => tool === "qmrestore");
        assert.deepEqual(tools.map(({ exit }) => exit), [0]);
        assertWhole(relay, digest);
      });

      await t.step("the connection is cut while a guest is created", async () => {
        const running = await startUntil(relay, "qmrestore", ["--all", "--newid", "201"]);
        proxy.cutNow("rst");
        const said = await running.finished;
        assert.equal(said.status, 1, describe(said));
        await relay.tidy();
        assert.equal(sim.sha256(201, "scsi0"), digest);
        assert.ok(!relay.changes.some((line) => line.startsWith("qm destroy")));
      });
    },
  });

  Deno.test({
    name: `SIGKILL of the program in the middle of a restore: all ends well on the node (${transport})`,
    ...needsSsh(),
    fn: async (t) => {
      const { relay, proxy } = await backedUp([GUEST], ["--ssh-transport", transport]);
      await using _relay = relay;
      await using _proxy = proxy;
      const digest = relay.bed.sim.sha256(101, "scsi0");
      const kill = async (running: Running) => {
        running.child.kill("SIGKILL");
        assert.equal((await running.finished).status, 137);
        await relay.tidy();
        assertWhole(relay, digest);
      };

      await t.step("while the archive is on its way", async () => {
        proxy.faults = { bytesPerSecond: 8 * MIB };
        const running = relay.start(["restore", "--from", relay.store, "--all", "--force"]);
        await eventually("some of it is there", () => relay.staged > 0);
        await kill(running);
        assert.deepEqual(relay.changes, []);
        proxy.faults = {};
      });

      await t.step("while the guest is shut down", async () => {
        relay.bed.sim.fault(101, { shutdownMs: 2000 });
        await kill(await startUntil(relay, "qm shutdown", ["--all", "--force"]));
      });

      await t.step("while the guest is replaced", async () => {
        await kill(await startUntil(relay, "qmrestore", ["--all", "--force"]));
      });
    },
  });
}

Deno.test({
  name: "a restore over a slow link does not fill the relay's memory",
  ...needsSsh(),
  fn: async () => {
    const guest: GuestSpec = { vmid: 101, disks: [{ key: "scsi0", size: "512M", synthetic: true }] };
    const { relay, proxy } = await backedUp([guest]);
    await using _relay = relay;
    await using _proxy = proxy;
    relay.bed.sim.change((state) => {
      state.storages["local-lvm"]!.discard = true;
    });
    proxy.faults = { bytesPerSecond: 8 * MIB };
    const running = relay.start(["restore", "--from", relay.store, "--all", "--newid", "201"]);
    const peak = peakMemory(running);
    await eventually("some of it is there", () => relay.staged > 16 * MIB);
    proxy.faults = {};
    const said = await running.finished;
    assert.equal(said.status, 0, describe(said));
    assert.ok(await peak < 250 * MIB, `${Math.round(await peak / MIB)} MiB of memory`);
    // deno-lint-ignore no-console -- a figure to show
    console.log(`peak memory of the relay: ${Math.round(await peak / MIB)} MiB`);
    await relay.tidy();
  },
});
