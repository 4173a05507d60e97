/** Nodes opened from options, over a real sshd each: by every way, and never the wrong one. */
import assert from "node:assert/strict";
import { plakarDoor, readOptions } from "../../src/config/doors.ts";
import { messageOf, UserError } from "../../src/core/errors.ts";
import type { Nodes } from "../../src/proxmox/nodes.ts";
import { openNodes } from "../../src/setup/reach.ts";
import { needsSsh, SshBed } from "./bed.ts";

/** ssh2 leaves Deno's ciphers to the garbage collector. */
const overSsh = (...programs: string[]) => ({ ...needsSsh(...programs), sanitizeResources: false });

/** Opens the nodes that `options` name, and lets go of them after `use`. */
async function withNodes(
  bed: SshBed,
  options: Record<string, string>,
  use: (nodes: Nodes, said: string[]) => Promise<void>,
): Promise<void> {
  const said: string[] = [];
  const environment = { PATH: Deno.env.get("PATH") ?? "", HOME: `${bed.dir}/home`, XDG_STATE_HOME: bed.dir };
  const read = readOptions("guests", [plakarDoor(options)]);
  const nodes = await openNodes(read, { say: (text) => said.push(text), environment });
  try {
    await use(nodes, said);
  } finally {
    await nodes.close();
  }
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(
    error instanceof UserError && error.kind === "unreachable",
    `not a refusal: ${Deno.inspect(error)}`,
  );
  return messageOf(error);
}

const hostnameOf = async (nodes: Nodes, name: string): Promise<string> => {
  const { runner } = await nodes.node(name);
  return (await runner.run(["pvesh", "get", "/cluster/status", "--output-format", "json"])).stdout;
};

for (const transport of ["builtin", "openssh"]) {
  const withTransport = (bed: SshBed) => ({ ...bed.options(), ssh_transport: transport });

  Deno.test({
    name: `openNodes() enters a cluster over SSH and goes straight to its nodes (${transport})`,
    ...overSsh(),
    fn: async () => {
      await using bed = await SshBed.create({ nodes: ["pve1", "pve2", "!pve3"] });
      await withNodes(bed, { ...withTransport(bed), node_access: "direct" }, async (nodes) => {
        assert.equal(nodes.entry.name, "pve1");
        assert.equal(await nodes.node("pve1"), nodes.entry);
        const node = await nodes.node("pve2");
        assert.equal(node.name, "pve2");
        assert.ok(node.runner.label.includes(bed.node("pve2").address), node.runner.label);
        assert.equal(await nodes.node("pve2"), node);
        assert.match(
          await refusal(nodes.node("pve3")),
          /^Cannot reach node "pve3": .* reports it as offline/,
        );
        assert.match(await refusal(nodes.node("pve4")), /^Cannot reach node "pve4": .* knows no such node/);
      });
    },
  });

  Deno.test({
    name: `openNodes() reaches the other nodes through the one it entered by (${transport})`,
    ...overSsh(),
    fn: async () => {
      await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
      await bed.trustEachOther();
      await withNodes(bed, { ...withTransport(bed), node_access: "entry" }, async (nodes) => {
        const node = await nodes.node("pve2");
        assert.match(node.runner.label, /through .*pve2|pve2 \(through /);
        assert.match(await hostnameOf(nodes, "pve2"), /"local":1[^}]*"name":"pve2"/);
        // Binary and quoting survive two shells.
        const odd = `a'b"c$d\`e\\f\n!g;h*%i ü`;
        assert.equal((await node.runner.run(["printf", "%s", odd])).stdout, odd);
      });
    },
  });
}

Deno.test({
  name: "openNodes() goes through the entry node where a node's host key is not known",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
    await bed.trustEachOther();
    const known = `${bed.dir}/known-entry`;
    await Deno.writeTextFile(known, `${bed.node("pve1").knownHostsLine()}\n`);
    const options = { ...bed.options(), known_hosts: known };
    await withNodes(bed, options, async (nodes) => {
      assert.match((await nodes.node("pve2")).runner.label, /through/);
    });
    await withNodes(bed, { ...options, node_access: "direct" }, async (nodes) => {
      assert.match(await refusal(nodes.node("pve2")), /^Cannot reach node "pve2": .*host key/);
    });
  },
});

Deno.test({
  name: "openNodes() tells both reasons when no way leads to a node, and finds it once one does",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
    await bed.trustEachOther();
    await withNodes(bed, bed.options(), async (nodes) => {
      await bed.node("pve2").stop();
      assert.match(
        await refusal(nodes.node("pve2")),
        /^Cannot reach node "pve2": directly: .*nothing listens.*; through root@.*: .*connection refused/,
      );
      await bed.node("pve2").start();
      assert.equal((await nodes.node("pve2")).name, "pve2");
    });
  },
});

Deno.test({
  name: "openNodes() refuses a node that answers at another one's address",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2", "pve3"] });
    bed.sim.change((state) => {
      state.nodes.pve2!.ip = bed.node("pve3").address;
    });
    await withNodes(bed, { ...bed.options(), node_access: "direct" }, async (nodes) => {
      assert.match(
        await refusal(nodes.node("pve2")),
        /^Cannot reach node "pve2": .* is the node "pve3"$/,
      );
      assert.equal((await nodes.node("pve3")).name, "pve3");
    });
  },
});

Deno.test({
  name: "openNodes() takes account and port from the location, else from the options",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ ipv6: true });
    const { address, port } = bed.node("pve1");
    const base = { ...bed.options() };
    const ways: Record<string, string>[] = [
      { location: `root@${address}:${port}`, conn_username: "nobody", conn_port: "1" },
      { location: `proxmox+backup://${address}`, username: "root", port: String(port) },
      { location: `proxmox://root@[::1]:${port}` },
    ];
    for (const { username, port: number, ...way } of ways) {
      const named = {
        ...(username ? { conn_username: username } : {}),
        ...(number ? { conn_port: number } : {}),
      };
      await withNodes(bed, { ...base, ...way, ...named }, (nodes) => {
        assert.equal(nodes.entry.name, "pve1");
        return Promise.resolve();
      });
    }
  },
});

Deno.test({
  name: "openNodes() records a new host key with our state, says so once, and knows it from then on",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const options: Record<string, string> = { ...bed.options(), host_key_check: "accept-new" };
    delete options.known_hosts;
    await withNodes(bed, options, (_nodes, said) => {
      assert.equal(said.filter((text) => /host key/.test(text)).length, 1, said.join("\n"));
      return Promise.resolve();
    });
    const recorded = await Deno.readTextFile(`${bed.dir}/plakar-proxmox/known_hosts`);
    assert.ok(recorded.includes(bed.node("pve1").hostKeys[0]!), recorded);
    await withNodes(bed, { ...options, host_key_check: "strict" }, (_nodes, said) => {
      assert.deepEqual(said, []);
      return Promise.resolve();
    });
  },
});

Deno.test({
  name: "openNodes() works through sudo for another account than root, with the rule it asks for",
  ...overSsh("sudo"),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
    await bed.trustEachOther();
    const account = await bed.addAccount({ rights: "user", sudo: ["/bin/sh"] });
    for (const access of ["direct", "entry"]) {
      const options = { ...bed.options(undefined, account.name), node_access: access };
      await withNodes(bed, options, async (nodes) => {
        assert.equal((await nodes.entry.runner.run(["id", "-u"])).stdout.trim(), "0");
        assert.equal((await (await nodes.node("pve2")).runner.run(["id", "-u"])).stdout.trim(), "0");
      });
    }
  },
});

Deno.test({
  name: "openNodes() says which rule sudo lacks",
  ...overSsh("sudo"),
  fn: async () => {
    await using bed = await SshBed.create();
    const account = await bed.addAccount({ rights: "user", sudo: "password" });
    const options = bed.options(undefined, account.name);
    const text = await refusal(withNodes(bed, options, () => Promise.resolve()));
    assert.match(text, /^Cannot become root on .* with sudo: /);
    assert.ok(text.endsWith(`${account.name} ALL=(root) NOPASSWD: /bin/sh`), text);
  },
});

/** Runs the command line as a process of its own. */
async function runCli(args: string[], env: Record<string, string>) {
  const program = new URL("../../main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, ...args],
    env,
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test({
  name: "guests leads from this machine to the other nodes by its own ssh",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"], guests: [{ vmid: 101, kind: "qemu" }] });
    await bed.trustEachOther();
    bed.sim.change((state) => {
      state.guests[101]!.node = "pve2";
    });
    const args = ["guests", "--all", "--node", "all", "--json"];
    const { code, stdout, stderr } = await runCli(args, { PATH: bed.sim.path });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).node, "pve2");
  },
});

Deno.test({
  name: "guests lists a whole cluster over SSH, with a password out of the environment",
  ...overSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"], guests: [{ vmid: 101, kind: "qemu" }] });
    bed.sim.change((state) => {
      state.guests[101]!.node = "pve2";
    });
    const { name, password = "" } = await bed.addAccount({ rights: "root", hasPassword: true });
    const { address, port } = bed.node("pve1");
    const place = ["--location", `${name}@${address}:${port}`, "--mode", "remote"];
    const login = [
      "--conn-method",
      "password",
      "--known-hosts",
      bed.knownHosts,
      "--host-key-check",
      "strict",
    ];
    const run = (password: string) => {
      const env = { PLAKAR_PROXMOX_CONN_PASSWORD: password, XDG_STATE_HOME: bed.dir };
      return runCli(["guests", "--all", "--json", ...place, ...login], env);
    };
    const { code, stdout, stderr } = await run(password);
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).node, "pve2");
    const wrong = await run("correct horse");
    assert.equal(wrong.code, 4, wrong.stderr);
    assert.match(wrong.stderr, /^Cannot log in to /);
    assert.ok(!wrong.stderr.includes("correct horse"), wrong.stderr);
  },
});
