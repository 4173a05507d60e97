import assert from "node:assert/strict";
import { Command } from "commander";
import { addTableFlags, openDoors } from "../../../src/cli/flags.ts";
import { readOptions } from "../../../src/config/doors.ts";
import { OPTIONS, type Side } from "../../../src/config/options.ts";
import { UserError } from "../../../src/core/errors.ts";
import { withTempDir } from "../store/temp_dir.ts";

/** The flags of a call as commander reads them. */
function parsed(side: Side, ...words: string[]): Record<string, unknown> {
  const command = new Command("test").exitOverride().configureOutput({ writeErr: () => {} });
  addTableFlags(command, side);
  return command.parse(words, { from: "user" }).opts();
}

async function read<S extends Side>(
  side: S,
  words: string[],
  environment: Record<string, string> = {},
  config?: string,
) {
  const flags = { ...parsed(side, ...words), ...(config === undefined ? {} : { config }) };
  return readOptions(side, await openDoors(side, flags, environment));
}

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError && error.kind === "usage", `not a refusal: ${error}`);
  return error.sentence;
}

Deno.test("addTableFlags() declares every option of its side", () => {
  for (const side of Object.keys(OPTIONS) as Side[]) {
    const command = new Command("test");
    addTableFlags(command, side);
    const flags = command.options.map((option) => option.long).sort();
    const keys = Object.keys(OPTIONS[side]).map((key) => `--${key.replaceAll("_", "-")}`).sort();
    assert.deepEqual(flags, keys);
  }
});

Deno.test("addTableFlags() shows each option, its values and its default in help", () => {
  const command = new Command("test").configureHelp({
    helpWidth: 400,
    optionDescription: (option) => option.description,
  });
  addTableFlags(command, "backup");
  const help = command.helpInformation();
  assert.match(help, /--backup-mode <snapshot\|suspend\|stop> .*\(default: snapshot\)/);
  assert.match(help, /--templates \[true\|false\] .*\(default: true\)/);
  assert.match(help, /--vmid <101,105-110> /);
});

Deno.test("flags with values become options", async () => {
  const options = await read("backup", [
    "--vmid",
    "101,105-107",
    "--backup-mode=stop",
    "--zstd-threads",
    "0",
  ]);
  assert.deepEqual(options.vmid, { listed: [101], ranges: [{ first: 105, last: 107 }] });
  assert.equal(options.backup_mode, "stop");
  assert.equal(options.zstd_threads, 0);
});

Deno.test("a switch may stand alone, or with its value", async () => {
  assert.equal((await read("backup", ["--all"])).all, true);
  assert.equal((await read("backup", ["--all", "--hooks", "false"])).hooks, false);
  assert.equal((await read("backup", ["--all=no"])).all, false);
  assert.equal((await read("backup", [])).all, undefined);
  assert.match(
    await refusal(read("restore", ["--dry-run", "101"])),
    /^Cannot use "101" for --dry-run: must be true or false/,
  );
});

Deno.test("a flag that is not given leaves its default to the doors behind it", async () => {
  const options = await read("backup", ["--all"], {
    PLAKAR_PROXMOX_TEMPLATES: "no",
    PLAKAR_PROXMOX_LOCKWAIT: "3",
  });
  assert.deepEqual([options.templates, options.lockwait], [false, 3]);
});

Deno.test("a flag that is given twice is a mistake", () => {
  assert.throws(
    () => parsed("backup", "--vmid", "101", "--vmid", "102"),
    /^UserError: Cannot use --vmid twice$/,
  );
  assert.throws(() => parsed("backup", "--all", "--all"), /^UserError: Cannot use --all twice$/);
});

Deno.test("an empty value is refused, not passed over", async () => {
  assert.match(await refusal(read("backup", ["--pool="])), /^Cannot use "" for --pool: must not be empty/);
});

Deno.test("openDoors() lets flags win over environment over file", () =>
  withTempDir(async (dir) => {
    const config = `${dir}/config.toml`;
    await Deno.writeTextFile(config, 'backup_mode = "stop"\nlockwait = 1\nionice = 2\nvmid = [101, 102]\n');
    const environment = { PLAKAR_PROXMOX_BACKUP_MODE: "suspend", PLAKAR_PROXMOX_LOCKWAIT: "5" };
    const options = await read("backup", ["--backup-mode", "snapshot"], environment, config);
    assert.deepEqual([options.backup_mode, options.lockwait, options.ionice], ["snapshot", 5, 2]);
    assert.deepEqual(options.vmid?.listed, [101, 102]);
  }));

Deno.test("openDoors() finds the config file by the environment, and --config wins", () =>
  withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/a.toml`, "lockwait = 1\n");
    await Deno.writeTextFile(`${dir}/b.toml`, "lockwait = 2\n");
    const environment = { PLAKAR_PROXMOX_CONFIG: `${dir}/a.toml` };
    assert.equal((await read("backup", [], environment)).lockwait, 1);
    assert.equal((await read("backup", [], environment, `${dir}/b.toml`)).lockwait, 2);
  }));

Deno.test("openDoors() tells on one line what is wrong with a config file", () =>
  withTempDir(async (dir) => {
    const refused = async (text: string) => {
      await Deno.writeTextFile(`${dir}/c.toml`, text);
      const sentence = await refusal(read("backup", [], {}, `${dir}/c.toml`));
      assert.ok(!sentence.includes("\n"));
      assert.ok(sentence.includes(`"${dir}/c.toml"`), sentence);
      return sentence;
    };
    assert.match(
      await refused('backup_mode = "stop\nlockwait = 3\n'),
      /^Cannot read the config file ".*": Invalid TOML document: [^^]+ \(line 1\)$/,
    );
    assert.match(await refused('bakup_mode = "stop"\n'), /^Unknown option "bakup_mode" in .*did you mean/);
    assert.match(await refused('backup_mode = "x"\n'), /^Cannot use "x" for "backup_mode" in /);
    assert.match(await refused("when = 2026-01-31\n"), /^Cannot use "when" in .*: must be a text/);
    assert.match(
      await refusal(read("backup", [], {}, `${dir}/none.toml`)),
      /^Cannot read the config file ".*none.toml": /,
    );
  }));

Deno.test("a secret is refused on the command line, with a word on where it goes", () => {
  const told = /^UserError: Cannot take --conn-password: every user of this machine can read command lines$/;
  assert.throws(() => parsed("backup", "--conn-password", "hunter2"), told);
  assert.throws(() => parsed("backup", "--conn-password=hunter2"), told);
  assert.throws(() => parsed("backup", "--conn-password"), told);
});

Deno.test("addTableFlags() shows no flag for a secret in help", () => {
  const command = new Command("test");
  addTableFlags(command, "backup");
  assert.match(command.helpInformation(), /--conn-username/);
  assert.doesNotMatch(command.helpInformation(), /--conn-password|--conn-identity-passphrase/);
});

Deno.test("openDoors() reads a secret out of the environment and leaves none there for children", async () => {
  const name = "PLAKAR_PROXMOX_CONN_PASSWORD";
  Deno.env.set(name, "hunter2");
  try {
    const options = await read("backup", [], { [name]: "hunter2" });
    assert.equal(options.conn_password?.reveal(), "hunter2");
    assert.equal(Deno.env.get(name), undefined);
  } finally {
    Deno.env.delete(name);
  }
});

Deno.test("openDoors() warns of a config file whose secret others can read", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/config.toml`;
    const warnings = async (text: string, mode: number) => {
      const said: string[] = [];
      await Deno.writeTextFile(path, text);
      await Deno.chmod(path, mode);
      await openDoors("backup", { config: path }, {}, (line) => said.push(line));
      return said;
    };
    const secret = 'conn_password = "hunter2"\n';
    const warning = `Others can read "conn_password" in "${path}"; run: chmod 600 "${path}"`;
    assert.deepEqual(await warnings(secret, 0o644), [warning]);
    assert.deepEqual(await warnings(secret, 0o640), [warning]);
    assert.deepEqual(await warnings(`[backup]\n${secret}`, 0o604), [warning]);
    assert.deepEqual(await warnings(secret, 0o600), []);
    assert.deepEqual(await warnings("lockwait = 1\n", 0o644), []);
  }));
