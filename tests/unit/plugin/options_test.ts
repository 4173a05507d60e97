import assert from "node:assert/strict";
import { messageOf, UserError } from "../../../src/core/errors.ts";
import { exporterOptions, importerOptions } from "../../../src/plugin/options.ts";

Deno.test("importerOptions() and exporterOptions() take the names of plakar's sftp integration", () => {
  for (const read of [importerOptions, exporterOptions]) {
    const options = read({
      location: "proxmox://pve1",
      username: "backup",
      port: "2222",
      identity: "/root/key",
      ssh_auth_sock: "/run/agent",
      insecure_ignore_host_key: "true",
    });
    assert.equal(options.conn_username, "backup");
    assert.equal(options.conn_port, 2222);
    assert.equal(options.conn_identity_file, "/root/key");
    assert.equal(options.ssh_auth_sock, "/run/agent");
    assert.equal(options.host_key_check, "off");
  }
});

Deno.test("insecure_ignore_host_key=false changes nothing", () => {
  const options = importerOptions({ insecure_ignore_host_key: "false", host_key_check: "strict" });
  assert.equal(options.host_key_check, "strict");
  assert.equal(importerOptions({ insecure_ignore_host_key: "false" }).host_key_check, "accept-new");
});

Deno.test("today's name wins over another one", () => {
  assert.equal(importerOptions({ port: "1", conn_port: "2" }).conn_port, 2);
  assert.equal(exporterOptions({ start_on_restore: "true", start: "never" }).start, "never");
});

Deno.test("a bad value is told under the name that was used", () => {
  const refusal = (config: Record<string, string>) => {
    try {
      importerOptions(config);
    } catch (error) {
      assert.ok(error instanceof UserError && error.kind === "usage");
      return messageOf(error);
    }
    return assert.fail("it was taken");
  };
  assert.match(refusal({ port: "ssh" }), /^Cannot use "ssh" for "port": must be a whole number/);
  assert.match(
    refusal({ insecure_ignore_host_key: "maybe" }),
    /^Cannot use "maybe" for "insecure_ignore_host_key"/,
  );
  assert.match(refusal({ start_on_restore: "true" }), /^Cannot use "start_on_restore" here|^Unknown option/);
});

Deno.test("exporterOptions() with restore_test takes a free vmid and a whole archive, whatever else is asked", () => {
  const options = exporterOptions({
    restore_test: "true",
    if_exists: "replace",
    restore_method: "stream",
    start: "always",
    pool: "prod",
  });
  const { newid, if_exists, restore_method, start, unique, pool, timeout } = options;
  assert.deepEqual([newid, if_exists, restore_method, start], ["next", "refuse", "staged", "never"]);
  assert.deepEqual([unique, pool, timeout], ["true", undefined, 300]);
  const elsewhere: Record<string, string>[] = [
    { newid: "300" },
    { newid_offset: "1000" },
    { restore_to: "files" },
  ];
  for (const where of elsewhere) {
    assert.throws(
      () => exporterOptions({ restore_test: "true", ...where }),
      /Cannot use .* with restore_test/,
    );
  }
});
