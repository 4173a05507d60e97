/** What only the system's ssh can do: the user's own configuration, and its connection that many share. */
import assert from "node:assert/strict";
import { UserError } from "../../src/core/errors.ts";
import { OpensshChannels } from "../../src/runner/openssh.ts";
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { eventually } from "../plakar/bed.ts";
import { needsSsh, SshBed } from "./bed.ts";
import { must } from "./command.ts";

/** Runs `openssh_child.ts`; `config` stands for the user's own configuration of ssh. */
async function start(
  bed: SshBed,
  options: Partial<SshOptions>,
  { config = "", env = {}, command = ["sh", "-c", "echo $SSH_CONNECTION"] }: {
    config?: string;
    env?: Record<string, string>;
    command?: string[];
  } = {},
): Promise<Deno.ChildProcess> {
  const bin = await Deno.makeTempDir({ dir: bed.dir });
  await Deno.writeTextFile(`${bin}/config`, config);
  const ssh = `#!/bin/sh\nexec /usr/bin/ssh -F ${bin}/config "$@"\n`;
  await Deno.writeTextFile(`${bin}/ssh`, ssh, { mode: 0o755 });
  const program = new URL("./openssh_child.ts", import.meta.url).pathname;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, JSON.stringify(bed.sshOptions(options)), ...command],
    env: { PATH: `${bin}:${Deno.env.get("PATH")}`, TMPDIR: bed.dir, ...env },
    stdin: "null",
    stdout: "piped",
  }).spawn();
}

async function said(child: Promise<Deno.ChildProcess>): Promise<string> {
  return new TextDecoder().decode((await (await child).output()).stdout).trim();
}

/** The user's configuration, so that everything but the name is left to it. */
const byName = (host: string): Partial<SshOptions> => ({
  target: { host, port: 22, user: "root", assumed: ["port", "user"] },
  login: { method: "auto" },
});

Deno.test({
  name: "openssh goes by aliases and jump hosts of the user's configuration",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
    const [first, second] = bed.nodes;
    const config = `
Host *
  IdentityFile ${bed.identityFile}
  UserKnownHostsFile ${bed.knownHosts}
Host gate
  HostName ${first!.address}
  Port ${first!.port}
  User root
Host inner
  HostName ${second!.address}
  Port ${second!.port}
  User root
  ProxyJump gate
`;
    const connection = await said(start(bed, byName("inner"), { config }));
    assert.ok(connection.endsWith(`${second!.address} ${second!.port}`), connection);
    assert.match(first!.log(), /Accepted publickey/);
    const refused = await said(
      start(bed, byName("nowhere"), { config: `${config}\nHost nowhere\n ProxyJump gaate` }),
    );
    assert.match(refused, /^UserError: Cannot reach "nowhere": the name "gaate" is not known; /);
  },
});

Deno.test({
  name: "openssh shares a connection that the user has open, and leaves it open",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const [node] = bed.nodes;
    const config = `
Host pve
  HostName ${node!.address}
  Port ${node!.port}
  User root
  ControlPath ${bed.dir}/mine
`;
    await Deno.writeTextFile(`${bed.dir}/config`, config);
    const ssh = (...args: string[]) => must("ssh", ["-F", `${bed.dir}/config`, ...args, "pve"]);
    const trust = ["-o", `UserKnownHostsFile=${bed.knownHosts}`, "-i", bed.identityFile];
    await ssh("-M", "-f", "-N", "-o", "LogLevel=QUIET", "-E", "/dev/null", ...trust);
    try {
      // Nothing here could log in.
      const login = { method: "identity", identityFile: "/nonexistent" } as const;
      const connection = await said(start(bed, { ...byName("pve"), login }, { config }));
      assert.ok(connection.endsWith(`${node!.address} ${node!.port}`), connection);
      assert.equal(node!.log().match(/Accepted publickey/g)?.length, 1);
      await ssh("-O", "check");
    } finally {
      await ssh("-O", "exit");
    }
  },
});

Deno.test({
  name: "openssh leaves no connection and no socket when this program is killed",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const child = await start(bed, {}, { env: { HOLD: "1" } });
    const reader = child.stdout.getReader();
    await reader.read();
    const folders = () => [...Deno.readDirSync(bed.dir)].filter(({ name }) => /^plakar-proxmox-/.test(name));
    assert.equal(folders().length, 1);
    assert.ok(bed.nodes[0]!.connections().length > 0);
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    await eventually("the connection is gone", () => bed.nodes[0]!.connections().length === 0);
    await eventually("the socket's folder is gone", () => folders().length === 0);
  },
});

Deno.test({
  name: "openssh carries all channels over one connection",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const channels = new OpensshChannels(bed.sshOptions());
    const ports = await Promise.all(Array.from({ length: 8 }, async () => {
      const channel = await channels.open("echo $SSH_CONNECTION", () => {});
      const chunk = await channel.output.read(new Uint8Array(200));
      assert.deepEqual(await channel.ended, { status: 0 });
      channel.close();
      return new TextDecoder().decode(chunk).split(" ")[1];
    }));
    assert.equal(new Set(ports).size, 1);
    await channels.close();
    await eventually("the connection is gone", () => bed.nodes[0]!.connections().length === 0);
    await assert.rejects(channels.open("true", () => {}), /the connection was closed/);
  },
});

Deno.test({
  name: "openssh says so when there is no ssh",
  ...needsSsh(),
  fn: async () => {
    await using bed = await SshBed.create();
    const text = await said(start(bed, {}, { env: { PATH: "/nonexistent" } }));
    assert.match(
      text,
      /^UserError: Cannot reach "root@127\.[\d.:]+": .*"ssh".*; install OpenSSH's client, or/,
    );
  },
});

Deno.test("openssh refuses passwords and passphrases, which it could not hand over", () => {
  const options: SshOptions = {
    target: { host: "pve1", port: 22, user: "root" },
    login: { method: "auto", password: "secret" },
    trust: { hostKeyCheck: "strict", recordIn: "/nonexistent" },
    connectTimeout: 1000,
    keepalive: 1000,
    say: () => {},
  };
  const refused = (login: SshOptions["login"]) => {
    assert.throws(() => new OpensshChannels({ ...options, login }), (error) => {
      return error instanceof UserError && error.kind === "usage" && !error.sentence.includes("secret") &&
        /with ssh_transport "openssh".*; .*ssh_transport=builtin$/.test(error.sentence);
    });
  };
  refused({ method: "auto", password: "secret" });
  refused({ method: "password" });
  refused({ method: "identity", identityFile: "/key", identityPassphrase: "secret" });
});
