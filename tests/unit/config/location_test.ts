import assert from "node:assert/strict";
import { isLoopback, originOf, parseLocation, withoutPassword } from "../../../src/config/location.ts";

Deno.test("parseLocation() reads user, host and port, with and without a scheme", () => {
  const read = { host: "pve1", user: "root", port: 2222 };
  for (const scheme of ["proxmox://", "proxmox+backup://", "PROXMOX://", ""]) {
    assert.deepEqual(parseLocation(`${scheme}root@pve1:2222`), read);
  }
  assert.deepEqual(parseLocation("proxmox://pve1.Example.org/"), { host: "pve1.example.org" });
  assert.deepEqual(parseLocation("pve1.example.org."), { host: "pve1.example.org" });
  assert.deepEqual(parseLocation("backup_user.x-1@10.0.0.1"), { host: "10.0.0.1", user: "backup_user.x-1" });
  assert.deepEqual(parseLocation("my_host:22"), { host: "my_host", port: 22 });
});

Deno.test("parseLocation() takes no host for this machine", () => {
  for (const text of ["proxmox://", "proxmox:///", "proxmox+backup://", ""]) {
    assert.deepEqual(parseLocation(text), { host: "" });
  }
});

Deno.test("parseLocation() reads IPv6 addresses in brackets, in one spelling each", () => {
  assert.deepEqual(parseLocation("proxmox://[::1]"), { host: "::1" });
  assert.deepEqual(parseLocation("root@[FD00:0:0::0001]:22"), { host: "fd00::1", user: "root", port: 22 });
  assert.deepEqual(parseLocation("[fe80::1%eth0]:22"), { host: "fe80::1%eth0", port: 22 });
});

/** Why a location is refused. */
function refusal(text: string): string {
  try {
    parseLocation(text);
  } catch (error) {
    assert.ok(error instanceof SyntaxError, String(error));
    return error.message;
  }
  return assert.fail(`"${text}" was taken`);
}

Deno.test("parseLocation() says what is wrong", () => {
  const cases: [string, RegExp][] = [
    ["sftp://pve1", /^"sftp" is not a scheme of ours; write "proxmox:\/\/root@pve1"/],
    ["proxmox://fd00::1", /^"fd00::1" is not a host; .*\[fd00::1\]/],
    ["proxmox://[fd00::zz]", /^"fd00::zz" is not a host/],
    ["proxmox://[]", /^"" is not a host/],
    ["proxmox://[10.0.0.1]", /^"10.0.0.1" is not a host/],
    ["proxmox://pve1:0", /^"0" is not a port/],
    ["proxmox://pve1:65536", /^"65536" is not a port/],
    ["proxmox://pve1:", /^"" is not a port/],
    ["proxmox://pve1:ssh", /^"ssh" is not a port/],
    ["proxmox://pve1/backup", /^nothing may follow the host/],
    ["proxmox://pve1?x=1", /^nothing may follow the host/],
    ["proxmox://root@", /^the host is missing/],
    ["proxmox://:22", /^the host is missing/],
    ["proxmox://@pve1", /^"" is not the name of an account/],
    ["proxmox://a b@pve1", /^"a b" is not the name of an account/],
    ["proxmox://pve 1", /^"pve 1" is not a host/],
    ["pve1\n", /is not a host/],
  ];
  for (const [text, why] of cases) assert.match(refusal(text), why, text);
});

Deno.test("parseLocation() refuses words that ssh would take for options", () => {
  for (const text of ["-oProxyCommand=id", "proxmox://-l@pve1", "proxmox://root@-oX", "proxmox://-4:22"]) {
    assert.match(refusal(text), /is not/);
  }
});

Deno.test("parseLocation() and withoutPassword() keep a password out of messages", () => {
  assert.match(refusal("proxmox://root:hunter2@pve1"), /^a password may not stand in it; give conn_password/);
  for (const password of ["hunter2", "hunter2/", "hunter2@", "hunter2?#"]) {
    assert.ok(!refusal(`root:${password}@pve1`).includes("hunter2"), password);
    assert.ok(!withoutPassword(`root:${password}@pve1`).includes("hunter2"), password);
  }
  assert.equal(withoutPassword("proxmox://root:hunter2@pve1"), "proxmox://root:***@pve1");
  assert.equal(withoutPassword("root:hunt@er:2@pve1:22"), "root:***@pve1:22");
  assert.equal(withoutPassword("proxmox://root@pve1:22"), "proxmox://root@pve1:22");
  assert.equal(withoutPassword("proxmox://root@[::1]:22"), "proxmox://root@[::1]:22");
});

Deno.test("originOf() stays the same whatever account and port are used", () => {
  const origins = ["pve1", "root@PVE1", "proxmox://backup@pve1:2222"].map((text) =>
    originOf(parseLocation(text), true, "relay")
  );
  assert.deepEqual(origins, ["pve1", "pve1", "pve1"]);
});

Deno.test("originOf() names this machine for loopback addresses, and each tunnel from it", () => {
  for (const text of ["", "localhost", "127.0.0.1", "[::1]"]) {
    assert.equal(originOf(parseLocation(text), false, "relay.example.org"), "relay");
  }
  assert.equal(originOf(parseLocation("localhost:2201"), true, "relay"), "relay:2201");
  assert.equal(originOf(parseLocation("localhost:2201"), false, "relay"), "relay");
});

Deno.test("isLoopback() knows this machine's own words", () => {
  for (const host of ["", "localhost", "127.0.0.1", "127.8.9.10", "::1"]) assert.ok(isLoopback(host), host);
  for (const host of ["127.0.0.1.example.org", "128.0.0.1", "localhost2"]) assert.ok(!isLoopback(host), host);
});
