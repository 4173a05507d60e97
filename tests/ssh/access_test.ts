/** Who a relay trusts, who lets it in, and what it may do there: as users meet it on the command line. */
import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import { type AccountSpec, needsSsh } from "./bed.ts";
import { describe, MIB, Relay } from "./relay.ts";

Deno.test({
  name:
    "a node with a wrong or changed host key, or that refuses the login, is status 4, and nothing runs there",
  ...needsSsh(),
  fn: async (t) => {
    await using relay = await Relay.create({ guests: [{ vmid: 101 }] });
    const { bed } = relay;
    const [node] = bed.nodes;
    const usual = relay.flags;
    const replaced = (...flags: string[]) => {
      const pairs = new Map<string, string>();
      const all = [...usual, ...flags];
      for (let at = 0; at < all.length; at += 2) pairs.set(all[at]!, all[at + 1]!);
      return [...pairs].flat();
    };
    const refused = async (flags: string[], says: RegExp, transports = ["builtin", "openssh"]) => {
      for (const transport of transports) {
        relay.flags = replaced(...flags, "--ssh-transport", transport);
        const said = await relay.backup("--all");
        assert.equal(said.status, 4, describe(said));
        assert.match(said.stderr, says);
        assert.equal(said.stdout, "");
        await assert.rejects(Deno.stat(relay.store), "no snapshot was begun");
      }
    };

    await t.step("a key that is not known, with host_key_check=strict", async () => {
      await Deno.writeTextFile(`${bed.dir}/empty`, "");
      const says = /^Cannot trust "root@.*host key.* is not known/m;
      await refused(["--known-hosts", `${bed.dir}/empty`], says);
    });

    await t.step("a key that has changed, also with host_key_check=accept-new", async () => {
      const other = `${bed.dir}/other`;
      const [type] = node!.hostKeys[0]!.split(" ");
      const stranger = (await Deno.readTextFile(`${bed.identityFile}.pub`)).split(" ")[1];
      await Deno.writeTextFile(other, `[${node!.address}]:${bed.port} ${type} ${stranger}\n`);
      const says = /^Cannot trust "root@.*has changed/m;
      await refused(["--known-hosts", other, "--host-key-check", "accept-new"], says);
    });

    await t.step("another key than the pinned one", async () => {
      const pin = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
      await refused(["--host-key-fingerprint", pin], /^Cannot trust "root@.*host_key_fingerprint/m);
    });

    await t.step("a key that it does not take", async () => {
      const stranger = await bed.addKey({ authorized: false });
      await refused(
        ["--conn-identity-file", stranger, "--conn-method", "identity"],
        /^Cannot log in to "root@/m,
      );
    });

    assert.deepEqual(bed.sim.calls(), []);
    relay.flags = [...usual, "--host-key-fingerprint", node!.hostKeyFingerprint];
    assert.equal((await relay.run(["guests", "--all"])).status, 0);
    await relay.tidy();
  },
});

Deno.test({
  name: "a new host key is recorded, and told of once",
  ...needsSsh(),
  fn: async () => {
    await using relay = await Relay.create({ guests: [{ vmid: 101 }] });
    const [node] = relay.bed.nodes;
    relay.flags = [
      ...["--location", `root@${node!.address}:${relay.bed.port}`, "--mode", "remote"],
      ...["--conn-identity-file", relay.bed.identityFile],
    ];
    const first = await relay.run(["guests", "--all"]);
    assert.equal(first.status, 0, describe(first));
    assert.equal(first.stderr.match(/host key/g)?.length, 1, first.stderr);
    assert.ok(first.stderr.includes(node!.hostKeyFingerprint), first.stderr);
    const second = await relay.run(["guests", "--all"]);
    assert.equal(second.status, 0, describe(second));
    assert.doesNotMatch(second.stderr, /host key/);
  },
});

Deno.test({
  name: "an account that sudo does not let become root is status 4, with the line for sudoers",
  ...needsSsh("sudo"),
  fn: async () => {
    await using relay = await Relay.create({ guests: [{ vmid: 101 }] });
    for (const sudo of ["nothing", "password"] as const) {
      const { name } = await relay.bed.addAccount({ rights: "user", sudo });
      relay.flags = relay.bed.flags(undefined, name);
      const said = await relay.backup("--all");
      assert.equal(said.status, 4, describe(said));
      assert.match(said.stderr, /^Cannot become root on /m);
      assert.ok(said.stderr.includes(`${name} ALL=(root) NOPASSWD: /bin/sh`), said.stderr);
    }
    await relay.tidy();
  },
});

const ACCOUNTS: Record<string, AccountSpec> = {
  "a plain user with sudo": { rights: "user", sudo: ["/bin/sh"] },
  "a plain user with sudo whose shell is fish": {
    rights: "user",
    sudo: ["/bin/sh"],
    shell: "fish",
    startUp: "echo hello from fish",
  },
  "a plain user with sudo whose shell is csh": {
    rights: "user",
    sudo: ["/bin/sh"],
    shell: "csh",
    startUp: "echo hello from csh",
  },
};

for (const [who, account] of Object.entries(ACCOUNTS)) {
  Deno.test({
    name: `backup and restore work as ${who}, and Ctrl-C ends vzdump cleanly`,
    ...needsSsh("sudo", "fish", "csh"),
    fn: async () => {
      await using relay = await Relay.create({
        guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "256M", synthetic: true }] }, {
          vmid: 105,
          kind: "lxc",
        }],
      });
      const { sim } = relay.bed;
      const { name } = await relay.bed.addAccount(account);
      relay.flags = relay.bed.flags(undefined, name);

      // 1. Interrupted in the middle of a dump.
      sim.fault(101, { bytesPerSecond: 8 * MIB, cleanupSeconds: 1 });
      const running = relay.start(["backup", "--all", "--to", `${relay.store}-cut`]);
      await eventually("the dump runs", () => relay.underWay(`${relay.store}-cut`) > 0);
      running.child.kill("SIGINT");
      const cut = await running.finished;
      assert.equal(cut.status, 130, describe(cut));
      assert.deepEqual(sim.locks(), { guests: {}, vzdump: false });
      const [call] = sim.calls().filter(({ tool }) => tool === "vzdump");
      assert.equal(call?.exit, 255, "vzdump has cleaned up and ended");
      await relay.tidy();

      // 2. To the end, and back.
      sim.fault(101, {});
      const digest = sim.sha256(105, "rootfs");
      const said = await relay.backup("--all");
      assert.equal(said.status, 0, describe(said));
      sim.destroyGuest(105);
      const restored = await relay.restore("--vmid", "105");
      assert.equal(restored.status, 0, describe(restored));
      assert.equal(sim.sha256(105, "rootfs"), digest);
      await relay.tidy();
    },
  });
}
