/** Who is let in, and which machine is believed. */
import assert from "node:assert/strict";
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { SshBed } from "./bed.ts";
import { knownHost } from "./node.ts";
import { FaultProxy } from "./proxy.ts";
import { forEachTransport, refusal, type Transport, withRunner } from "./transports.ts";

/** A known_hosts file with the given lines. */
async function knownHostsOf(bed: SshBed, ...lines: string[]): Promise<string> {
  const path = await Deno.makeTempFile({ dir: bed.dir });
  await Deno.writeTextFile(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

/** Another machine's key under this node's name. */
function strangersLine(bed: SshBed): string {
  const [first, second] = bed.nodes;
  return second!.knownHostsLine([knownHost(first!.address, first!.port)]);
}

function trusting(
  bed: SshBed,
  trust: Partial<SshOptions["trust"]>,
  more: Partial<SshOptions> = {},
): SshOptions {
  return bed.sshOptions({ ...more, trust: { ...bed.sshOptions().trust, ...trust } });
}

const reaches = (transport: Transport, options: SshOptions) =>
  withRunner(transport, options, (runner) => runner.run(["true"]));

forEachTransport("refuses an unknown, a changed and a revoked host key", async (transport) => {
  await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
  const { hostKeyFingerprint } = bed.nodes[0]!;
  const say = (text: string) => assert.fail(text);
  const told = (trust: Partial<SshOptions["trust"]>) => refusal(transport, trusting(bed, trust, { say }));

  const unknown = await told({ knownHosts: await knownHostsOf(bed) });
  assert.match(unknown, /^Cannot trust "root@127\.[\d.:]+": its .*host key .*is not known; /);
  for (const hostKeyCheck of ["strict", "accept-new"] as const) {
    const knownHosts = await knownHostsOf(bed, "# a comment", strangersLine(bed));
    const changed = await told({ hostKeyCheck, knownHosts });
    assert.match(changed, /^Cannot trust "root@127\.[\d.:]+": its host key has changed /);
    assert.ok(changed.includes(hostKeyFingerprint), changed);
    assert.ok(changed.includes(knownHosts), changed);
    const revoked = `@revoked ${bed.nodes[0]!.knownHostsLine()}`;
    const refused = await told({ hostKeyCheck, knownHosts: await knownHostsOf(bed, revoked) });
    assert.match(refused, /^Cannot trust "root@127\.[\d.:]+": its .*host key .*is revoked/);
  }
});

forEachTransport("records a new host key where asked, and says so once", async (transport) => {
  await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
  const said: string[] = [];
  const recordIn = `${bed.dir}/made/known_hosts`;
  const options = trusting(
    bed,
    { hostKeyCheck: "accept-new", knownHosts: await knownHostsOf(bed), recordIn },
    { say: (text) => said.push(text) },
  );
  await reaches(transport, options);
  assert.equal(said.length, 1);
  const { hostKeyFingerprint } = bed.nodes[0]!;
  assert.match(
    said[0]!,
    /^Recorded the new .*host key of "root@127\.[\d.:]+" in ".*\/made\/known_hosts": SHA256:/,
  );
  assert.ok(said[0]!.endsWith(hostKeyFingerprint), said[0]);
  assert.equal((await Deno.stat(recordIn)).mode! & 0o777, 0o600);
  await reaches(transport, { ...options, trust: { ...options.trust, hostKeyCheck: "strict" } });
  assert.equal(said.length, 1);
});

forEachTransport("takes the pinned host key and no other, whatever the files say", async (transport) => {
  await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
  const [first, second] = bed.nodes;
  const wrong = await knownHostsOf(bed, strangersLine(bed));
  await reaches(transport, trusting(bed, { fingerprint: first!.hostKeyFingerprint, knownHosts: wrong }));
  const refused = await refusal(transport, trusting(bed, { fingerprint: second!.hostKeyFingerprint }));
  assert.match(refused, /^Cannot trust "root@127\.[\d.:]+": .*host_key_fingerprint/);
  assert.ok(refused.includes(first!.hostKeyFingerprint), refused);
});

forEachTransport("warns when nobody is to be checked", async (transport) => {
  await using bed = await SshBed.create({ nodes: ["pve1", "pve2"] });
  const said: string[] = [];
  const knownHosts = await knownHostsOf(bed, strangersLine(bed));
  const say = (text: string) => void said.push(text);
  await reaches(transport, trusting(bed, { hostKeyCheck: "off", knownHosts }, { say }));
  assert.equal(said.length, 1);
  assert.match(said[0]!, /^Did not check who "root@127\.[\d.:]+" is, since host_key_check is "off"/);
});

forEachTransport("says that it was not let in, and what to do", async (transport) => {
  await using bed = await SshBed.create();
  const identityFile = await bed.addKey({ authorized: false });
  const text = await refusal(transport, bed.sshOptions({ login: { method: "identity", identityFile } }));
  assert.match(
    text,
    /^Cannot log in to "root@127\.[\d.:]+": .*; add the public key to the node's authorized_keys/,
  );
});

forEachTransport("logs in by the agent, and by keys of other kinds", async (transport) => {
  await using bed = await SshBed.create();
  const agentSocket = await bed.startAgent([await bed.addKey({ type: "ecdsa" })]);
  await reaches(transport, bed.sshOptions({ login: { method: "agent", agentSocket } }));
  for (const spec of [{ type: "rsa", format: "PEM" }, { type: "ecdsa" }] as const) {
    const identityFile = await bed.addKey(spec);
    await reaches(transport, bed.sshOptions({ login: { method: "identity", identityFile } }));
  }
});

forEachTransport("looks a host key up under its alias", async (transport) => {
  await using bed = await SshBed.create();
  await using proxy = new FaultProxy({ hostname: bed.nodes[0]!.address, port: bed.port });
  const target = { host: proxy.hostname, port: proxy.port, user: "root", hostKeyAlias: "pve1" };
  await reaches(transport, bed.sshOptions({ target }));
});

forEachTransport("tells apart why a node cannot be reached", async (transport) => {
  await using bed = await SshBed.create();
  await using proxy = new FaultProxy({ hostname: bed.nodes[0]!.address, port: bed.port });
  const target = await bed.knowProxy(proxy);
  const told = (host = target.host) =>
    refusal(transport, bed.sshOptions({ target: { ...target, host }, connectTimeout: 1000 }));
  proxy.faults = { mute: true };
  assert.match(await told(), /^Cannot reach "root@127[\d.:]+": no SSH server answered .*; check the address/);
  proxy.faults = { cut: { direction: "toClient", after: 30, by: "fin" } };
  assert.match(
    await told(),
    /^(Cannot start an SSH connection to|Lost the connection to) "root@127[\d.:]+": .*(closed|lost)/,
  );
  proxy.refuse();
  assert.match(
    await told(),
    /^Cannot reach "root@127[\d.:]+": (nothing listens|connection refused).*; check/i,
  );
  assert.match(
    await told("no-such-host.invalid"),
    /^Cannot reach "root@no-such-host.invalid:\d+": the name .*is not known/,
  );
});
