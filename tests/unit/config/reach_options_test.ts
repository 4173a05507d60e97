import assert from "node:assert/strict";
import {
  environmentDoor,
  fileDoor,
  flagDoor,
  plakarDoor,
  readOptions,
  SECRET_KEYS,
  SECRET_VARIABLES,
} from "../../../src/config/doors.ts";
import { OPTIONS, type Side } from "../../../src/config/options.ts";
import { messageOf, UserError } from "../../../src/core/errors.ts";

const PASSWORD = "correct horse";
const DOORS = {
  environment: environmentDoor({ PLAKAR_PROXMOX_CONN_PASSWORD: PASSWORD }),
  file: fileDoor("/x", "backup", { conn_password: PASSWORD }),
  plakar: plakarDoor({ conn_password: PASSWORD }),
};

const refusal = (side: Side, key: string, value: string): string => {
  try {
    readOptions(side, [plakarDoor({ [key]: value })]);
  } catch (error) {
    assert.ok(error instanceof UserError);
    return messageOf(error);
  }
  return assert.fail(`"${value}" was taken for ${key}`);
};

Deno.test("reaching a node needs no options", () => {
  for (const side of ["guests", "backup", "restore", "importer", "exporter"] as const) {
    const options = readOptions(side, []);
    assert.equal(options.location, "proxmox://");
    assert.equal(options.host_key_check, "accept-new");
    assert.equal(options.connect_timeout, 15);
    assert.equal(options.conn_password, undefined);
  }
});

Deno.test("a secret comes through every door that takes one", () => {
  for (const door of Object.values(DOORS)) {
    assert.equal(readOptions("backup", [door]).conn_password?.reveal(), PASSWORD);
  }
});

Deno.test("a secret shows nowhere that options are written", () => {
  const options = readOptions("importer", [DOORS.plakar]);
  assert.ok(!("conn_password" in JSON.parse(JSON.stringify(options))));
  for (const text of [JSON.stringify(options), Deno.inspect(options), `${options.conn_password}`]) {
    assert.ok(!text.includes(PASSWORD), text);
  }
});

Deno.test("an error about a secret does not quote it", () => {
  const text = refusal("importer", "conn_password", "hunter\n2");
  assert.equal(text, 'Cannot use "***" for "conn_password": must not hold control characters');
});

Deno.test("an error about a location does not quote a password in it", () => {
  assert.equal(
    refusal("importer", "location", "proxmox://root:hunter2@pve1"),
    'Cannot use "proxmox://root:***@pve1" for "location": a password may not stand in it; give conn_password instead',
  );
});

Deno.test("the environment variables of all secrets are known", () => {
  assert.deepEqual([...SECRET_KEYS].sort(), ["conn_identity_passphrase", "conn_password"]);
  assert.deepEqual(
    [...SECRET_VARIABLES].sort(),
    ["PLAKAR_PROXMOX_CONN_IDENTITY_PASSPHRASE", "PLAKAR_PROXMOX_CONN_PASSWORD"],
  );
});

Deno.test("options named like secrets are secrets, under names that plakar masks", () => {
  for (const table of Object.values(OPTIONS)) {
    for (const [key, { kind }] of Object.entries(table)) {
      const isMasked = /_(password|passphrase|pass|token|private_key)$/.test(key);
      assert.equal("isSecret" in kind && kind.isSecret === true, isMasked, key);
    }
  }
});

Deno.test("a fingerprint is taken as ssh-keygen writes it", () => {
  const fingerprint = `SHA256:${"A".repeat(43)}`;
  const read = readOptions("backup", [flagDoor({ host_key_fingerprint: fingerprint })]);
  assert.equal(read.host_key_fingerprint, fingerprint);
  for (const bad of ["A".repeat(43), `MD5:${"a".repeat(43)}`, `SHA256:${"A".repeat(42)}`]) {
    assert.match(refusal("backup", "host_key_fingerprint", bad), /must be written as "ssh-keygen -l" does/);
  }
});

Deno.test("files of this machine may begin with the home directory", () => {
  for (const path of ["/root/.ssh/id", "~/.ssh/id"]) {
    assert.equal(readOptions("backup", [flagDoor({ conn_identity_file: path })]).conn_identity_file, path);
  }
  assert.match(
    refusal("backup", "conn_identity_file", "id_ed25519"),
    /must be an absolute path or begin with/,
  );
});
