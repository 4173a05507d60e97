/** What can go wrong while a relay backs up a cluster: each node ends clean, and the report tells what is true. */
import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import type { Faults, GuestSpec } from "../pve/mod.ts";
import { needsSsh } from "./bed.ts";
import { describe, MIB, peakMemory, Relay } from "./relay.ts";

/** A guest whose dump takes long enough to be disturbed, and what makes it so. */
const LONG = { disks: [{ key: "scsi0", size: "256M", synthetic: true }] };
const SLOWLY: Faults = { bytesPerSecond: 8 * MIB, cleanupSeconds: 1 };

const PLAIN = ["--all", "--backup-compression", "0"];

/** Waits until bytes of the dump of `vmid` have come to the relay. */
async function whileDumping(relay: Relay, vmid: number): Promise<void> {
  await eventually(
    `the dump of ${vmid} runs`,
    () => relay.bed.sim.locks().guests[vmid] !== undefined && relay.underWay() > 0,
  );
}

const error = (relay: Relay, vmid: number): string => relay.report(vmid).error ?? "";

for (const transport of ["builtin", "openssh"]) {
  Deno.test({
    name: `backup goes on with the other nodes when sshd is killed in the middle of a dump (${transport})`,
    ...needsSsh(),
    fn: async () => {
      await using relay = await Relay.create({
        nodes: ["pve1", "pve2"],
        guests: [{ vmid: 101 }, { vmid: 102, node: "pve2", ...LONG }, { vmid: 103, node: "pve2" }, {
          vmid: 104,
        }],
      });
      relay.bed.sim.fault(102, SLOWLY);
      relay.flags.push("--ssh-transport", transport);
      const running = relay.start(["backup", ...PLAIN, "--to", relay.store]);
      await whileDumping(relay, 102);
      await relay.bed.node("pve2").stop();
      const said = await running.finished;
      assert.equal(said.status, 3, describe(said));
      assert.deepEqual(relay.outcomes, { 101: "good", 102: "failed", 103: "failed", 104: "good" });
      assert.match(error(relay, 102), /^Cannot back up VM 102: .*[Ll]ost the connection to "root@/);
      assert.match(error(relay, 103), /^Cannot back up VM 103: .*"root@/);
      assert.equal(relay.underWay(), 0);
      assert.ok(relay.files.every((name) => !/vzdump-qemu-10[23]/.test(name)), relay.files.join());
      await relay.tidy();
      // What failed is found by the next run.
      await relay.bed.node("pve2").start();
      relay.bed.sim.fault(102, {});
      const again = await relay.backup("--retry-failed");
      assert.equal(again.status, 0, describe(again));
      assert.match(again.stdout, /^2 of 2 guests backed up/);
    },
  });
}

Deno.test({
  name: "backup takes no dump for whole whose connection is cut, and goes on over a new one",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({
      guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "32M" }] }, { vmid: 102 }],
    });
    await using proxy = await relay.proxyBefore("pve1");
    proxy.faults = { cut: { direction: "toClient", after: 8 * MIB, by: "fin" } };
    const said = await relay.backup(...PLAIN);
    assert.equal(said.status, 3, describe(said));
    assert.deepEqual(relay.outcomes, { 101: "failed", 102: "good" });
    assert.match(error(relay, 101), /[Ll]ost the connection to "root@/);
    assert.ok(relay.files.every((name) => !name.includes("101")), relay.files.join());
    await relay.tidy();
  },
});

for (const transport of ["builtin", "openssh"]) {
  Deno.test({
    name: `SIGKILL of the program in the middle of a dump leaves the node clean (${transport})`,
    ...needsSsh(),
    fn: async () => {
      await using relay = await Relay.create({ guests: [{ vmid: 100 }, { vmid: 101, ...LONG }] });
      relay.bed.sim.fault(101, SLOWLY);
      relay.flags.push("--ssh-transport", transport);
      const running = relay.start(["backup", ...PLAIN, "--to", relay.store]);
      await whileDumping(relay, 101);
      running.child.kill("SIGKILL");
      assert.equal((await running.finished).status, 137);
      await relay.tidy();
      const listed = await relay.run(["list", "--from", relay.store]);
      assert.equal(listed.status, 0, describe(listed));
      assert.match(listed.stdout, /^100 .* incomplete/m);
      assert.doesNotMatch(listed.stdout, /^101 /m);
    },
  });
}

Deno.test({
  name: "a slow link does not fill the relay's memory",
  ...needsSsh(),
  fn: async () => {
    const guest: GuestSpec = { vmid: 101, disks: [{ key: "scsi0", size: "512M", synthetic: true }] };
    await using relay = await Relay.create({ guests: [guest] });
    await using proxy = await relay.proxyBefore("pve1");
    proxy.faults = { bytesPerSecond: 8 * MIB };
    const running = relay.start(["backup", ...PLAIN, "--to", relay.store]);
    const peak = peakMemory(running);
    await eventually("some of it has come", () => relay.underWay() > 16 * MIB);
    proxy.faults = {};
    const said = await running.finished;
    assert.equal(said.status, 0, describe(said));
    assert.ok(proxy.passed.toClient > 256 * MIB, `${proxy.passed.toClient} bytes passed`);
    assert.ok(await peak < 250 * MIB, `${Math.round(await peak / MIB)} MiB of memory`);
    // deno-lint-ignore no-console -- a figure to show
    console.log(`peak memory of the relay: ${Math.round(await peak / MIB)} MiB`);
  },
});

Deno.test({
  name: "backup leaves out the guests of a node that is down, or that does not answer",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({
      nodes: ["pve1", "pve2", "!pve3"],
      guests: [{ vmid: 101 }, { vmid: 102, node: "pve2" }, { vmid: 103, node: "pve3" }],
    });
    await relay.bed.node("pve2").stop();
    const said = await relay.backup(...PLAIN);
    assert.equal(said.status, 3, describe(said));
    assert.deepEqual(relay.outcomes, { 101: "good", 102: "failed", 103: "failed" });
    assert.match(error(relay, 102), /Cannot reach node "pve2": directly: .*nothing listens there/);
    assert.match(error(relay, 103), /Cannot reach node "pve3": .*offline/);
    assert.match(said.stderr, /The backup is incomplete, without 102, 103/);
    await relay.tidy();
  },
});

Deno.test({
  name: "backup follows a guest that moves to another node after it was listed",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({
      nodes: ["pve1", "pve2"],
      guests: [{ vmid: 101, ...LONG }, { vmid: 102 }],
    });
    relay.bed.sim.fault(101, { bytesPerSecond: 64 * MIB });
    const running = relay.start(["backup", ...PLAIN, "--to", relay.store]);
    await whileDumping(relay, 101);
    relay.bed.sim.change((state) => {
      state.guests[102]!.node = "pve2";
    });
    const said = await running.finished;
    assert.equal(said.status, 0, describe(said));
    assert.deepEqual(relay.outcomes, { 101: "good", 102: "good" });
    assert.match(said.stderr, /VM 102 has moved from node "pve1" to "pve2"|VM 102 "vm102" has moved/);
    await relay.tidy();
  },
});

Deno.test({
  name: "backup works at a node with few sessions, noisy logins and locale warnings",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({
      nodes: ["pve1", "pve2"],
      guests: [{ vmid: 101 }, { vmid: 102, node: "pve2" }, { vmid: 105, kind: "lxc", node: "pve2" }],
      sshd: { MaxSessions: 2 },
      noise: {
        banner: "Authorized use only\n",
        stdout: "Welcome to Proxmox\nYou have mail.\n",
        stderr: "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)\n",
      },
      knobs: { localeWarnings: true },
    });
    for (const transport of ["builtin", "openssh"]) {
      const said = await relay.run([
        ...["backup", "--all", "--ssh-transport", transport],
        ...["--to", `${relay.store}-${transport}`],
      ]);
      assert.equal(said.status, 0, describe(said));
      assert.match(said.stdout, /^3 of 3 guests backed up/);
      assert.doesNotMatch(said.stdout + said.stderr, /Welcome|mail|setlocale/);
    }
    await relay.tidy();
  },
});
