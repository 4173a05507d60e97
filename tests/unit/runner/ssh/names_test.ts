import assert from "node:assert/strict";
import { accountLabel, hostNames } from "../../../../src/runner/ssh/names.ts";

const PVE1 = { host: "PVE1", port: 22, user: "root" };

Deno.test("accountLabel() names the port only where it is another one, and brackets IPv6 addresses then", () => {
  assert.equal(accountLabel(PVE1), "root@PVE1");
  assert.equal(accountLabel({ ...PVE1, port: 2222 }), "root@PVE1:2222");
  assert.equal(accountLabel({ ...PVE1, host: "fd00::1" }), "root@fd00::1");
  assert.equal(accountLabel({ ...PVE1, host: "fd00::1", port: 2222 }), "root@[fd00::1]:2222");
});

Deno.test("hostNames() forms names as they stand in known_hosts", () => {
  assert.deepEqual(hostNames(PVE1), { recorded: "pve1" });
  assert.deepEqual(hostNames({ ...PVE1, port: 2222 }), { recorded: "[pve1]:2222", withoutPort: "pve1" });
  assert.deepEqual(hostNames({ ...PVE1, port: 2222, hostKeyAlias: "Node-A" }), { recorded: "node-a" });
});
