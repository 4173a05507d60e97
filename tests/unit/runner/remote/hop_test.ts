import assert from "node:assert/strict";
import { ChildChannels } from "../../../../src/runner/remote/child_channel.ts";
import type { Channel } from "../../../../src/runner/remote/channel.ts";
import { ShellRunner } from "../../../../src/runner/remote/shell_runner.ts";
import { UserError } from "../../../../src/core/errors.ts";
import { hopArgv, HopChannels } from "../../../../src/runner/remote/hop.ts";
import { needs } from "../../../needs.ts";
import { withTempDir } from "../../store/temp_dir.ts";

const TARGET = { name: "pve2", address: "10.0.0.2", connectTimeout: 15_000, keepalive: 7_500 };

async function textOf(channel: Channel): Promise<string> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const chunk = await channel.output.read(new Uint8Array(4096));
    if (chunk.length === 0) break;
    parts.push(chunk.slice());
  }
  return await new Blob(parts as BlobPart[]).text();
}

/** A hop whose `ssh` is a program that tells its arguments and then runs its last one, as sshd would. */
async function withHop(
  shell: string,
  use: (
    open: (command: string, input?: string) => Promise<{ said: string; status: unknown }>,
  ) => Promise<void>,
) {
  await withTempDir(async (dir) => {
    const script = `#!/bin/sh
for word; do printf '<%s>' "$word"; done
echo
eval 'exec /bin/sh -c "\${'$#'}"'
`;
    await Deno.writeTextFile(`${dir}/ssh`, script, { mode: 0o755 });
    const env = { PATH: `${dir}:${Deno.env.get("PATH")}` };
    const from = new ChildChannels({ label: "root@pve1", argv: [shell, "-c"], env, killOnClose: true });
    const hop = new HopChannels(TARGET, new ShellRunner(from));
    assert.equal(hop.label, "pve2 (through root@pve1)");
    await use(async (command, input = "") => {
      const channel = await hop.open(command, () => {});
      await channel.write(new TextEncoder().encode(input));
      await channel.closeInput();
      const said = await textOf(channel);
      return { said, status: await channel.ended };
    });
    await hop.close();
  });
}

Deno.test("hopArgv() calls ssh as Proxmox does, without a terminal or a question", () => {
  const argv = hopArgv(TARGET);
  assert.deepEqual(argv.slice(-2), ["--", "root@10.0.0.2"]);
  for (
    const setting of ["BatchMode=yes", "HostKeyAlias=pve2", "ConnectTimeout=15", "ServerAliveInterval=8"]
  ) {
    assert.equal(argv[argv.indexOf(setting) - 1], "-o", setting);
  }
  assert.ok(!argv.some((word) => word.includes("KnownHostsFile")));
});

Deno.test("hopArgv() believes the node's own known hosts file only, where there is one", () => {
  const argv = hopArgv({ ...TARGET, knownHosts: "/etc/pve/nodes/pve2/ssh_known_hosts" });
  assert.ok(argv.includes("UserKnownHostsFile=/etc/pve/nodes/pve2/ssh_known_hosts"));
  assert.ok(argv.includes("GlobalKnownHostsFile=none"));
});

for (const shell of ["sh", "fish", "csh"]) {
  Deno.test({
    name: `HopChannels hands command line and input on unchanged, whatever they hold (login shell ${shell})`,
    ...needs(shell),
    fn: () =>
      withHop(shell, async (open) => {
        const words = Array.from({ length: 20 }, (_, seed) => oddWord(seed));
        for (const word of words) {
          const quoted = `'${word.replaceAll("'", "'\\''")}'`;
          const { said, status } = await open(`printf '%s|' ${quoted}; cat; exit 7`, word);
          assert.equal(said.slice(said.indexOf("\n", said.indexOf("exit 7>")) + 1), `${word}|${word}`);
          assert.deepEqual(status, { status: 7 });
        }
      }),
  });
}

/** Any characters but NUL, those that shells read most of all. */
function oddWord(seed: number): string {
  const alphabet = `'"\`$\\!*?~#&;|<>(){}[]%^ \n\tabü€`;
  let state = seed * 2_654_435_761 + 1;
  const next = () => (state = (state * 48_271) % 2_147_483_647);
  return Array.from({ length: 40 }, () => alphabet[next() % alphabet.length]).join("") + "x";
}

Deno.test("HopChannels tells a way that is lost from a command that failed", () =>
  withTempDir(async (dir) => {
    const from = new ChildChannels({
      label: "root@pve1",
      argv: ["/bin/sh", "-c"],
      env: { PATH: `${dir}:${Deno.env.get("PATH")}` },
      killOnClose: true,
    });
    const endOf = async (script: string) => {
      await Deno.writeTextFile(`${dir}/ssh`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const channel = await new HopChannels(TARGET, new ShellRunner(from)).open("true", () => {});
      assert.equal(await textOf(channel), "");
      const end = await channel.ended;
      channel.close();
      return end;
    };
    assert.deepEqual(await endOf("echo oops >&2; exit 1"), { status: 1 });
    const end = await endOf("echo 'root@10.0.0.2: Permission denied (publickey).' >&2; exit 255");
    assert.ok("lost" in end && end.lost instanceof UserError && end.lost.kind === "unreachable");
    assert.match(end.lost.sentence, /^Cannot log in to "pve2 \(through root@pve1\)": no key was accepted/);
    assert.match(end.lost.sentence, /; on root@pve1 this must work .*: ssh root@10\.0\.0\.2$/);
    await from.close();
  }));
