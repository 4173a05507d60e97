import assert from "node:assert/strict";
import { plakarDoor, readOptions } from "../../../src/config/doors.ts";
import { sshOptions, sshOptionsAt } from "../../../src/setup/ssh_options.ts";

const FINGERPRINT = `SHA256:${"A".repeat(43)}`;

function read(values: Record<string, string>, environment: Record<string, string> = {}) {
  return sshOptions(readOptions("importer", [plakarDoor(values)]), { say: () => {}, environment });
}

Deno.test("sshOptions() logs in as root at port 22 unless told otherwise", () => {
  assert.deepEqual(read({ location: "proxmox://pve1" }).target, {
    host: "pve1",
    port: 22,
    user: "root",
    assumed: ["port", "user"],
  });
  assert.deepEqual(read({ location: "proxmox://pve1:22" }).target.assumed, ["user"]);
});

Deno.test("sshOptions() lets account and port of the location win", () => {
  const given = { conn_username: "other", conn_port: "1" };
  const read1 = read({ location: "proxmox://backup@[::1]:2222", ...given });
  assert.deepEqual(read1.target, { host: "::1", port: 2222, user: "backup" });
  const read2 = read({ location: "proxmox://pve1", ...given });
  assert.deepEqual(read2.target, { host: "pve1", port: 1, user: "other" });
});

Deno.test("sshOptions() takes the agent's socket from the option, else from the environment", () => {
  const environment = { SSH_AUTH_SOCK: "/run/theirs", HOME: "/home/me" };
  assert.equal(read({}, environment).login.agentSocket, "/run/theirs");
  assert.equal(read({ ssh_auth_sock: "~/agent" }, environment).login.agentSocket, "/home/me/agent");
  assert.ok(!("agentSocket" in read({}).login));
});

Deno.test("sshOptions() keeps our own known hosts with our other state", () => {
  assert.equal(read({}, { XDG_STATE_HOME: "/s" }).trust.recordIn, "/s/plakar-proxmox/known_hosts");
});

Deno.test("sshOptions() counts in milliseconds", () => {
  const { connectTimeout, keepalive } = read({ connect_timeout: "3", keepalive: "4" });
  assert.deepEqual([connectTimeout, keepalive], [3000, 4000]);
});

Deno.test("sshOptionsAt() keeps the login and drops the pinned key of another machine", () => {
  const options = read({
    location: "proxmox://backup@pve1:2222",
    host_key_fingerprint: FINGERPRINT,
    host_key_check: "strict",
    conn_password: "hunter2",
  });
  assert.equal(options.trust.fingerprint, FINGERPRINT);
  const other = sshOptionsAt("10.0.0.2", options);
  assert.deepEqual(other.target, { host: "10.0.0.2", port: 2222, user: "backup" });
  assert.equal(other.trust.fingerprint, undefined);
  assert.equal(other.trust.hostKeyCheck, "strict");
  assert.equal(other.login.password, "hunter2");
});
