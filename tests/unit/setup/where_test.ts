import assert from "node:assert/strict";
import { UserError } from "../../../src/core/errors.ts";
import { isRemote, originOfOptions } from "../../../src/setup/where.ts";

Deno.test("isRemote() takes this machine's names and addresses for this machine", () => {
  const own = ["", "localhost", "127.0.0.1", "[::1]", Deno.hostname()];
  for (const location of own) assert.equal(isRemote({ location, mode: "auto" }), false, location);
  for (const { address, family } of Deno.networkInterfaces()) {
    const location = family === "IPv6" ? `[${address}]` : address;
    assert.equal(isRemote({ location, mode: "auto" }), false, location);
  }
  for (const location of ["pve1.example.org", "root@192.0.2.1", `${Deno.hostname()}.example.org`]) {
    assert.equal(isRemote({ location, mode: "auto" }), true, location);
  }
});

Deno.test("isRemote() lets a given mode win over the host", () => {
  assert.equal(isRemote({ location: "pve1.example.org", mode: "local" }), false);
  assert.equal(isRemote({ location: "localhost:2222", mode: "remote" }), true);
  assert.throws(
    () => isRemote({ location: "proxmox://", mode: "remote" }),
    (error) => error instanceof UserError && error.kind === "usage" && /names no host/.test(error.message),
  );
});

Deno.test("originOfOptions() tells tunnels from this machine", () => {
  const hostname = Deno.hostname().replace(/\..*$/, "");
  assert.equal(originOfOptions({ location: "localhost:2222", mode: "auto" }), hostname);
  assert.equal(originOfOptions({ location: "localhost:2222", mode: "remote" }), `${hostname}:2222`);
  assert.equal(originOfOptions({ location: "pve1.example.org", mode: "local" }), "pve1.example.org");
});
