/** doctor and cleanup from a relay: what they look at is on the nodes. */
// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import { needsSsh } from "./bed.ts";
import { describe, Relay } from "./relay.ts";

const BIG = [{ key: "scsi0", size: "64M", synthetic: true }];

for (const transport of ["builtin", "openssh"]) {
  Deno.test({
    name: `doctor and cleanup look after a cluster over SSH (${transport})`,
    ...needsSsh("flock"),
    fn: async (t) => {
      await using relay = await Relay.create({
        nodes: ["pve1", "pve2"],
        guests: [{ vmid: 101, disks: BIG }],
      });
      relay.flags.push("--ssh-transport", transport);
      const { sim } = relay.bed;
      const care = (...args: string[]) => relay.run([...args, ...relay.flags, "--dump-dir", sim.dumpDir]);
      const left = `${sim.dumpDir}/plakar-proxmox-${"0".repeat(32)}-101`;
      Deno.mkdirSync(left, { mode: 0o711 });
      Deno.chmodSync(left, 0o711);
      Deno.writeTextFileSync(`${left}/busy`, "");
      sim.setLock(101, "backup");

      await t.step("doctor reaches every node and finds what was left there", async () => {
        const said = await care("doctor", "--json");
        const found = said.json.filter(({ severity, check }) => severity === "ok" && check === "rights");
        assert.deepEqual(found.map(({ node }) => node), ["pve1", "pve2"], describe(said));
        const clocks = said.json.filter(({ check }) => check === "clock").map(({ severity }) => severity);
        assert.deepEqual(clocks, ["ok", "ok"]);
        assert.ok(
          said.json.some(({ check, text }) => check === "staging" && text.includes(left)),
          describe(said),
        );
        assert.ok(said.json.some(({ check, severity }) => check === "locks" && severity === "warning"));
      });

      await t.step("cleanup removes it and unlocks the guest", async () => {
        const said = await care("cleanup", "--yes", "--unlock");
        assert.equal(said.status, 0, describe(said));
        assert.deepEqual([...Deno.readDirSync(sim.dumpDir)], []);
        assert.equal(sim.guest(101)?.lock, undefined);
      });

      await t.step("cleanup leaves a backup alone that is at work", async () => {
        sim.fault(101, { hangAfterBytes: 1024 * 1024 });
        const running = relay.start(["backup", "--vmid", "101", "--to", relay.store]);
        const isDumped = () =>
          sim.guest(101)?.lock === "backup" && [...Deno.readDirSync(sim.dumpDir)].length > 0;
        await eventually("101 is being dumped", isDumped);
        const said = await care("cleanup", "--yes", "--unlock");
        assert.equal(said.status, 0, describe(said));
        assert.match(said.stdout, /: its run is at work/);
        assert.equal(sim.guest(101)?.lock, "backup");
        running.child.kill("SIGTERM");
        assert.equal((await running.finished).status, 143);
      });
    },
  });
}
