import assert from "node:assert/strict";
import { accountArgs, fileValue, settingsOf } from "../../../../src/runner/openssh/settings.ts";
import type { SshOptions } from "../../../../src/runner/remote/ssh_target.ts";

const OPTIONS: SshOptions = {
  target: { host: "fd00::1", port: 2222, user: "root" },
  login: { method: "auto" },
  trust: { hostKeyCheck: "strict", recordIn: "/state/known hosts" },
  connectTimeout: 1500,
  keepalive: 15_000,
  say: () => {},
};

Deno.test("accountArgs() leaves to the user's configuration what nobody asked for", () => {
  assert.deepEqual(accountArgs(OPTIONS), ["-p", "2222", "-l", "root", "--", "fd00::1"]);
  const target = { host: "-pve", port: 22, user: "root", assumed: ["port", "user"] as const };
  assert.deepEqual(accountArgs({ ...OPTIONS, target }), ["--", "-pve"]);
});

Deno.test("settingsOf() never lets ssh ask, and reads our record before the user's files", () => {
  const settings = settingsOf(OPTIONS, ["/root/.ssh/known_hosts"]);
  assert.ok(settings.includes("BatchMode=yes"));
  assert.ok(settings.includes("ConnectTimeout=2"));
  assert.ok(settings.includes("StrictHostKeyChecking=yes"));
  assert.ok(settings.includes('UserKnownHostsFile="/state/known hosts" "/root/.ssh/known_hosts"'));
});

Deno.test("settingsOf() reads no file of known hosts when a key is pinned or nobody is checked", () => {
  for (const trust of [{ fingerprint: "SHA256:abc" }, { hostKeyCheck: "off" }] as const) {
    const settings = settingsOf({ ...OPTIONS, trust: { ...OPTIONS.trust, ...trust } }, ["/root/known"]);
    assert.deepEqual(settings.filter((setting) => /KnownHostsFile/.test(setting)), [
      "UserKnownHostsFile=/dev/null",
      "GlobalKnownHostsFile=/dev/null",
    ]);
  }
});

Deno.test("settingsOf() offers one key where one was named, and only the agent's where that was asked for", () => {
  const login = (login: SshOptions["login"]) =>
    settingsOf({ ...OPTIONS, login }, []).filter((setting) => /^Identit/.test(setting));
  assert.deepEqual(login({ method: "identity", identityFile: "/key" }), [
    'IdentityFile="/key"',
    "IdentitiesOnly=yes",
  ]);
  assert.deepEqual(login({ method: "agent", agentSocket: "/agent" }), [
    "IdentityFile=none",
    "IdentitiesOnly=no",
    'IdentityAgent="/agent"',
  ]);
  assert.deepEqual(login({ method: "auto" }), []);
});

Deno.test("fileValue() keeps ssh from expanding and splitting a path", () => {
  assert.equal(fileValue('/a b/100%/"x"'), '"/a b/100%%/\\"x\\""');
});
