/** The real plakar with the compiled binary as its plugin, over SSH to a cluster. */
import assert from "node:assert/strict";
import { type Bed, changes, describe, eventually, makeBedAt, type Running } from "../plakar/bed.ts";
import { needs } from "../needs.ts";
import { needsSsh, SshBed, type SshBedOptions } from "./bed.ts";
import { MIB, tidy } from "./relay.ts";

const needsPlakar = () => ({ ignore: needsSsh().ignore || needs("go").ignore });

const LONG = { disks: [{ key: "scsi0", size: "256M", synthetic: true }] };

/** plakar on a machine that is no node, with source and destination `pve` at the cluster's first node. */
async function overSsh(options: SshBedOptions): Promise<{ ssh: SshBed; bed: Bed }> {
  const ssh = await SshBed.create(options);
  const { location, ...others } = ssh.options();
  const source = [location!, ...Object.entries(others).map(([key, value]) => `${key}=${value}`)];
  const path = "/usr/local/bin:/usr/bin:/bin";
  return { ssh, bed: await makeBedAt(() => Promise.resolve({ node: ssh.sim, path, source })) };
}

/** Guests whose archives are in a snapshot. */
async function archived(bed: Bed, id: string): Promise<string[]> {
  return (await bed.files(id)).flatMap((path) => /vzdump-(\w+-\d+)-/.exec(path)?.[1] ?? []).sort();
}

Deno.test({
  name: "plakar backs up and restores a cluster over SSH, and names what a node that is down lacks",
  ...needsPlakar(),
  fn: async (t) => {
    const { ssh, bed } = await overSsh({
      nodes: ["pve1", "pve2"],
      guests: [{ vmid: 101 }, { vmid: 102, node: "pve2" }, { vmid: 105, kind: "lxc", node: "pve2" }],
    });
    await using _ssh = ssh;
    await using _bed = bed;
    const digests =
      () => [ssh.sim.sha256(101, "scsi0"), ssh.sim.sha256(102, "scsi0"), ssh.sim.sha256(105, "rootfs")];
    const before = digests();
    let id = "";

    await t.step("1. plakar source ping", async () => {
      const said = await bed.plakar("source", "ping", "pve");
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
    });

    await t.step("2. a backup of both nodes, without a word of ours", async () => {
      const made = await bed.backup("all=true");
      id = made.id;
      assert.equal(made.said.stderr, "");
      assert.match(made.said.text, /backup completed without errors/);
      assert.deepEqual(await archived(bed, id), ["lxc-105", "qemu-101", "qemu-102"]);
      const dumps = ssh.sim.calls().filter(({ tool }) => tool === "vzdump");
      assert.deepEqual(dumps.map(({ argv, node }) => `${argv[0]} ${node}`).sort(), [
        "101 pve1",
        "102 pve2",
        "105 pve2",
      ]);
    });

    await t.step("3. a restore of each guest over itself, on its own node", async () => {
      ssh.sim.setConfig(102, { description: "changed since" });
      const said = await bed.restore(id);
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.deepEqual(digests(), before);
      assert.equal(ssh.sim.guest(102)?.entries.description, undefined);
      assert.deepEqual([101, 102, 105].map((vmid) => ssh.sim.guest(vmid)?.status), [
        "running",
        "running",
        "running",
      ]);
      await tidy(ssh);
    });

    await t.step(
      "4. one node is down: the others are in the snapshot, errors are counted and named",
      async () => {
        await ssh.node("pve2").stop();
        const { id, said } = await bed.backup("all=true");
        assert.match(said.text, /backup completed with 2 errors/);
        assert.match(said.stderr, /^Not backed up: 102, 105$/m);
        assert.deepEqual(await archived(bed, id), ["qemu-101"]);
        const errors = await bed.at("info", "-errors", id);
        assert.match(errors.text, /Cannot back up VM 102: Cannot reach node "pve2"/, describe(errors));
        await tidy(ssh);
      },
    );
  },
});

Deno.test({
  name: "plakar says once that a new host key was recorded, on stderr, and knows it from then on",
  ...needsPlakar(),
  fn: async () => {
    const { ssh, bed } = await overSsh({ guests: [{ vmid: 101 }] });
    await using _ssh = ssh;
    await using _bed = bed;
    const source = ["known_hosts=/dev/null", "host_key_check=accept-new"];
    const options = source.flatMap((option) => ["-o", option]);
    const first = await bed.at("backup", ...options, "-o", "all=true", "@pve");
    assert.equal(first.status, 0, describe(first));
    const recorded = /^Recorded the new \S+ host key of "root@[\d.:]+" in ".*\/known_hosts": SHA256:\S+\n$/;
    assert.match(first.stderr, recorded);
    assert.ok(first.stderr.includes(ssh.nodes[0]!.hostKeyFingerprint));
    const second = await bed.at("backup", ...options, "-o", "all=true", "@pve");
    assert.equal(second.status, 0, describe(second));
    assert.equal(second.stderr, "");
  },
});

/** How plakar is killed. */
const ENDS: Record<string, (running: Running) => void> = {
  "plakar": ({ pid }) => Deno.kill(pid, "SIGKILL"),
  "plakar and its plugin": ({ signalGroup }) => signalGroup("SIGKILL"),
};

for (const [what, end] of Object.entries(ENDS)) {
  Deno.test({
    name: `SIGKILL of ${what} leaves the nodes clean, during a backup and during a restore`,
    ...needsPlakar(),
    fn: async (t) => {
      const { ssh, bed } = await overSsh({
        nodes: ["pve1", "pve2"],
        guests: [{ vmid: 101, ...LONG }, { vmid: 102, node: "pve2", disks: [{ key: "scsi0", size: "64M" }] }],
      });
      await using _ssh = ssh;
      await using _bed = bed;
      const killed = async (running: Running) => {
        end(running);
        assert.notEqual((await running.finished).status, 0);
        await tidy(ssh);
        assert.deepEqual(bed.plugins(), []);
      };

      await t.step("in the middle of dumps", async () => {
        for (const vmid of [101, 102]) ssh.sim.fault(vmid, { bytesPerSecond: 8 * MIB, cleanupSeconds: 1 });
        const running = bed.start("at", bed.store, "backup", "-o", "all=true", "@pve");
        await eventually("a guest is dumped", () => Object.keys(ssh.sim.locks().guests).length > 0);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        await killed(running);
        assert.deepEqual(await bed.snapshots(), []);
        for (const vmid of [101, 102]) ssh.sim.fault(vmid, {});
      });

      await t.step("while a restore tool is at work, which finishes", async () => {
        const { id } = await bed.backup("vmid=102");
        const digest = ssh.sim.sha256(102, "scsi0");
        const running = bed.start("at", bed.store, "restore", "-to", "@pve", id);
        await eventually(
          "qmrestore runs",
          () => changes(bed).some((line) => line.startsWith("qmrestore")),
          60,
        );
        await killed(running);
        const exits = ssh.sim.calls().filter(({ tool }) => tool === "qmrestore").map(({ exit }) => exit);
        assert.deepEqual(exits, [0]);
        assert.equal(ssh.sim.sha256(102, "scsi0"), digest);
        assert.equal(ssh.sim.guest(102)?.status, "running");
      });
    },
  });
}
