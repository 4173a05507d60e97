import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import { needsSsh, SshBed, type SshNode } from "./bed.ts";
import { FaultProxy } from "./proxy.ts";

/** What the system's ssh does with a command. */
async function ssh(
  bed: SshBed,
  command: string,
  {
    node = bed.nodes[0]!,
    user = "root",
    options = [],
    identity = bed.identityFile,
    host = node.address,
    port = node.port,
  }: {
    node?: SshNode;
    user?: string;
    options?: string[];
    identity?: string;
    host?: string;
    port?: number;
  } = {},
) {
  const { code, stdout, stderr } = await new Deno.Command("ssh", {
    args: [
      ...["-F", "none", "-T", "-o", "BatchMode=yes", "-o", `UserKnownHostsFile=${bed.knownHosts}`],
      ...["-o", "StrictHostKeyChecking=yes", "-o", `IdentityFile=${identity}`, ...options],
      ...["-p", String(port), "-l", user, host, command],
    ],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { status: code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test({
  name: "ssh bed: each node answers at its own address with its own tools",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create({
      nodes: ["pve1", "pve2", "!pve3"],
      guests: [{ vmid: 101, name: "web" }, { vmid: 102, node: "pve2" }],
    });
    assert.deepEqual(bed.nodes.map(({ name }) => name), ["pve1", "pve2"]);
    for (const node of bed.nodes) {
      const said = await ssh(bed, "pvesh get /cluster/status --output-format json", { node });
      assert.equal(said.status, 0, said.stderr);
      const nodes = JSON.parse(said.stdout).filter(({ type }: { type: string }) => type === "node");
      assert.deepEqual(nodes.find(({ local }: { local: number }) => local === 1).name, node.name);
      assert.equal(nodes.find(({ name }: { name: string }) => name === node.name).ip, node.address);
      assert.equal(nodes.find(({ name }: { name: string }) => name === "pve3").online, 0);
    }
    assert.deepEqual(bed.sim.calls().map(({ node }) => node), ["pve1", "pve2"]);
  },
});

Deno.test({
  name: "ssh bed: accounts by key, as plain users, through sudo, with another shell",
  ...needsSsh("sudo", "fish", "csh"),
  fn: async () => {
    await using bed = await SshBed.create();
    const plain = await bed.addAccount({ rights: "user" });
    const admin = await bed.addAccount({ rights: "user", sudo: "all" });
    const asked = await bed.addAccount({ rights: "user", sudo: "password", hasPassword: true });
    const few = await bed.addAccount({ rights: "user", sudo: ["/usr/bin/id -u"] });
    const fish = await bed.addAccount({ rights: "root", shell: "fish", startUp: "echo hello from fish" });
    const csh = await bed.addAccount({ rights: "root", shell: "csh", startUp: "echo hello from csh" });
    const as = ({ name }: { name: string }, command: string) => ssh(bed, command, { user: name });
    assert.match((await as(plain, "id -un")).stdout, /^ppx-/);
    assert.notEqual((await as(plain, "sudo -n id -u")).status, 0);
    assert.equal((await as(admin, "sudo -n id -u")).stdout, "0\n");
    assert.equal((await as(admin, "sudo -n pvesh get /version --output-format json")).status, 0);
    assert.notEqual((await as(asked, "sudo -n id -u")).status, 0);
    assert.equal((await as(few, "sudo -n id -u")).stdout, "0\n");
    assert.notEqual((await as(few, "sudo -n id")).status, 0);
    assert.equal((await as(fish, "id -u; echo $SHELL")).stdout, "hello from fish\n0\n/usr/bin/fish\n");
    assert.match((await as(csh, "id -u; set x = $shell; echo $x")).stdout, /^hello from csh\n0\n.*csh\n$/);
  },
});

Deno.test({
  name: "ssh bed: noise, banner, further settings of sshd, an agent, keys and host keys",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create({
      sshd: { MaxSessions: 2 },
      hostKeys: ["ed25519", "rsa"],
      noise: { banner: "Keep out\n", stdout: "motd\n", stderr: "locale\n" },
      ipv6: true,
    });
    const said = await ssh(bed, "echo 'a  b'; exit 3", { host: "::1" });
    assert.deepEqual(said, { status: 3, stdout: "motd\na  b\n", stderr: "Keep out\nlocale\n" });
    const stranger = await bed.addKey({ authorized: false });
    const only = (options: string[]) => ssh(bed, "true", { identity: "none", options });
    assert.match((await only(["-i", stranger])).stderr, /Permission denied \(publickey,password\)/);
    const agent = await bed.startAgent([await bed.addKey({ type: "ecdsa" })]);
    assert.equal((await only(["-o", `IdentityAgent=${agent}`])).status, 0);
    const first = bed.nodes[0]!;
    assert.match(first.hostKeyFingerprint, /^SHA256:\S{43}$/);
    assert.deepEqual(first.hostKeys.map((key) => key.split(" ")[0]), ["ssh-ed25519", "ssh-rsa"]);
  },
});

Deno.test({
  name: "ssh bed: sshd ends and starts again, connections are dropped, nothing is left in the end",
  ...needsSsh(),
  fn: async () => {
    const bed = await SshBed.create();
    const account = await bed.addAccount({ rights: "user", sudo: "all", hasPassword: true });
    const [node] = bed.nodes;
    const sleeping = ssh(bed, "echo $$; exec sleep 100");
    await eventually("a session is open", () => node!.connections().length > 0);
    node!.dropConnections();
    assert.equal((await sleeping).status, 255);
    await node!.stop();
    assert.match((await ssh(bed, "true")).stderr, /Connection refused/);
    await node!.start();
    assert.equal((await ssh(bed, "setsid sleep 100 >/dev/null 2>&1 & true")).status, 0);
    await bed[Symbol.asyncDispose]();
    await assertNothingLeft(bed, account.name);
  },
});

Deno.test({
  name: "ssh bed: nothing is left when the tests are killed",
  ...needsSsh(),
  fn: async () => {
    const program = `import { SshBed } from ${JSON.stringify(new URL("./bed.ts", import.meta.url).href)};
      const bed = await SshBed.create();
      const account = await bed.addAccount({ rights: "user", sudo: "all" });
      console.log(JSON.stringify({ dir: bed.dir, name: account.name }));
      setInterval(() => {}, 1000);`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      stdout: "piped",
      stdin: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    const said = new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    child.kill("SIGKILL");
    await child.status;
    const { dir, name } = JSON.parse(said);
    await assertNothingLeft({ dir }, name);
  },
});

Deno.test({
  name: "fault proxy: passes, cuts, stalls, limits and refuses",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const target = { hostname: bed.nodes[0]!.address, port: bed.port };
    await using proxy = new FaultProxy(target);
    const { host, port } = await bed.knowProxy(proxy);
    const buffer = new Uint8Array(1000);
    const zeros = (options: string[] = []) => ssh(bed, "head -c 2000000 /dev/zero", { host, port, options });
    assert.equal((await zeros()).stdout.length, 2_000_000);
    for (const by of ["fin", "rst"] as const) {
      proxy.faults = { cut: { direction: "toClient", after: 1_000_000, by } };
      const before = proxy.passed.toClient;
      const { status, stdout } = await zeros();
      assert.equal(status, 255);
      assert.equal(proxy.passed.toClient - before, 1_000_000);
      assert.ok(stdout.length < 1_000_000, `${stdout.length} bytes came`);
    }
    proxy.faults = {};
    const conn = await Deno.connect(proxy);
    assert.match(new TextDecoder().decode((await conn.read(buffer)) ? buffer : undefined), /^SSH-2/);
    proxy.cutNow("rst");
    await assert.rejects(conn.read(buffer), Deno.errors.ConnectionReset);
    conn.close();
    proxy.faults = { stall: { direction: "toClient", after: 1_000_000 } };
    const stalled = await zeros(["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"]);
    assert.match(stalled.stderr, /Timeout, server .* not responding/);
    proxy.faults = { bytesPerSecond: 1_000_000 };
    const begin = Date.now();
    assert.equal((await zeros()).stdout.length, 2_000_000);
    assert.ok(Date.now() - begin > 1500, "as slow as asked");
    proxy.faults = { mute: true };
    assert.match((await zeros(["-o", "ConnectTimeout=1"])).stderr, /timed out/);
    proxy.refuse();
    assert.match((await zeros()).stderr, /Connection refused/);
  },
});

async function assertNothingLeft({ dir }: { dir: string }, account: string): Promise<void> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  await eventually("the directory is gone", async () => !await exists(dir));
  assert.doesNotMatch(await Deno.readTextFile("/etc/passwd"), new RegExp(`^${account}:`, "m"));
  assert.equal(await exists(`/etc/sudoers.d/${account}`), false);
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    const about = ["cmdline", "environ"].map((file) => {
      try {
        return Deno.readTextFileSync(`/proc/${name}/${file}`);
      } catch {
        return ""; // it has ended
      }
    });
    assert.ok(!about.join("").includes(dir), `process ${name} is left: ${about[0]}`);
  }
}
