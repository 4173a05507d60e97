// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { type Bed, makeBed } from "./harness.ts";

/** Calls with a mistake in them, and what the one line on stderr must say. `STORE` and `FILE` are filled in. */
const MISTAKES: Record<string, { args: string[]; says: RegExp }> = {
  "an unknown option": {
    args: ["backup", "--vmdi", "101", "--to", "STORE"],
    says: /^Unknown option --vmdi; did you mean --vmid\?$/m,
  },
  "an option of another command": {
    args: ["backup", "--newid", "3", "--to", "STORE"],
    says: /Cannot use --newid with "backup": it belongs to restore/,
  },
  "no selection": {
    args: ["backup", "--to", "STORE"],
    says: /no guests are selected; give exactly one of --vmid, --pool/,
  },
  "two selections": {
    args: ["backup", "--all", "--vmid", "101", "--to", "STORE"],
    says: /vmid and all are given together/,
  },
  "a vmid that is too small": { args: ["backup", "--vmid", "99", "--to", "STORE"], says: /"99" is none/ },
  "a vmid with a leading zero": {
    args: ["backup", "--vmid", "0101", "--to", "STORE"],
    says: /"0101" is none/,
  },
  "a range backwards": { args: ["backup", "--vmid", "110-105", "--to", "STORE"], says: /"110-105" is none/ },
  "an unknown word": {
    args: ["backup", "--all", "--to", "STORE", "--backup-mode", "live"],
    says: /Cannot use "live" for --backup-mode: must be one of snapshot, suspend, stop/,
  },
  "an option twice": {
    args: ["backup", "--all", "--to", "STORE", "--to", "x"],
    says: /Cannot use --to twice/,
  },
  "a selection that matches nothing": {
    args: ["backup", "--tag", "nosuch", "--to", "STORE"],
    says: /no guest matches the selection/,
  },
  "an unknown node": {
    args: ["backup", "--all", "--node", "pve9", "--to", "STORE"],
    says: /Cannot find node "pve9".*pve1/,
  },
  "a target that is a file": {
    args: ["backup", "--all", "--to", "FILE"],
    says: /Cannot write to ".*file".*--to/,
  },
  "a target below nothing": {
    args: ["backup", "--all", "--to", "STORE/no/such"],
    says: /Cannot write to ".*no\/such"/,
  },
  "a dump directory that does not exist": {
    args: ["backup", "--all", "--to", "STORE", "--dump-dir", "/nonexistent/dump"],
    says: /Cannot use "\/nonexistent\/dump": it does not exist; .*--dump-dir/,
  },
  "a dump directory with ..": {
    args: ["backup", "--all", "--to", "STORE", "--dump-dir", "/var/../tmp"],
    says: /must not hold "\.\."/,
  },
  "a source that is no store": {
    args: ["list", "--from", "EMPTY"],
    says: /holds neither snapshots nor vzdump archives/,
  },
  "a source that is not there": {
    args: ["restore", "--all", "--from", "/nonexistent"],
    says: /Cannot read "\/nonexistent"/,
  },
  "a file that is no archive": {
    args: ["verify", "--from", "FILE"],
    says: /its name is none of a vzdump archive/,
  },
  "a restore of nobody": {
    args: ["restore", "--from", "EMPTY"],
    says: /no guests are named; give either --vmid or --all/,
  },
  "a broken config file": {
    args: ["guests", "--config", "FILE"],
    says: /Cannot read the config file ".*file"/,
  },
};

async function call(bed: Bed, args: string[], env: Record<string, string> = {}) {
  const dir = bed.store.slice(0, -"/store".length);
  Deno.writeTextFileSync(`${dir}/file`, "not = = toml");
  Deno.mkdirSync(`${dir}/empty`, { recursive: true });
  const places = { STORE: bed.store, FILE: `${dir}/file`, EMPTY: `${dir}/empty` };
  const filled = args.map((arg) =>
    arg.replace(/^(STORE|FILE|EMPTY)/, (name) => places[name as keyof typeof places])
  );
  return await bed.run(filled, env);
}

Deno.test("mistakes get one line with a hint and status 2, and nothing is started", async (t) => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }] });
  for (const [what, { args, says }] of Object.entries(MISTAKES)) {
    await t.step(what, async () => {
      const { status, stdout, stderr } = await call(bed, args);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    });
  }
  const started = bed.node.calls().map(({ tool }) => tool).filter((tool) => tool !== "pvesh");
  assert.deepEqual(started, []);
  assert.deepEqual(bed.leftovers(), []);
  assert.equal(await Deno.stat(bed.store).catch(() => "absent"), "absent");
});

Deno.test("options come from flags, environment and config file, in this order", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101, tags: ["a"] }, { vmid: 102, tags: ["b"] }] });
  const config = `${bed.node.dir}/options.toml`;
  Deno.writeTextFileSync(config, 'tag = "a"\nbackup_compression = 0\nif_exists = "replace"\n');
  const vmids = async (args: string[], env: Record<string, string> = {}) => {
    const { json, stderr } = await bed.run(["guests", "--json", "--config", config, ...args], env);
    assert.equal(stderr, "");
    return json.map(({ vmid }) => vmid);
  };
  assert.deepEqual(await vmids([]), [101]);
  assert.deepEqual(await vmids([], { PLAKAR_PROXMOX_TAG: "b" }), [102]);
  assert.deepEqual(await vmids(["--tag", "a"], { PLAKAR_PROXMOX_TAG: "b" }), [101]);
  const wrong = await bed.run(["guests", "--all"], { PLAKAR_PROXMOX_TEMPLATE: "true" });
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /PLAKAR_PROXMOX_TEMPLATE; did you mean PLAKAR_PROXMOX_TEMPLATES\?/);
});

Deno.test("damaged documents of a snapshot: list tells and goes on, restore refuses, the archive itself restores", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  bed.node.destroyGuest(101);
  const { path, names } = bed.snapshot();
  Deno.writeTextFileSync(`${path}/manifest.json`, '{"version":1,');
  const listed = await bed.run(["list", "--from", bed.store]);
  assert.equal(listed.status, 5);
  assert.match(listed.stdout, /101 .* damaged/);
  const refused = await bed.run(["restore", "--from", bed.store, "--all"]);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /manifest\.json: is no JSON; .*--from "(.*)"/);
  const archive = `${path}/${names.find((name) => name.endsWith(".zst"))}`;
  assert.equal((await bed.run(["restore", "--from", archive, "--all"])).status, 0);
  assert.ok(bed.node.guest(101));
});

Deno.test("a dump directory too deep for Proxmox's 255 characters is refused before anything is stopped", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }] });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 0);
  const deep = `${bed.node.dir}/${"d".repeat(100)}/${"e".repeat(100)}`;
  Deno.mkdirSync(deep, { recursive: true });
  const args = ["restore", "--from", bed.store, "--all", "--force", "--dump-dir", deep];
  const { status, stderr } = await bed.run(args);
  assert.equal(status, 2);
  assert.match(stderr, /the path of the archive would be too long; Proxmox takes 255 characters/);
  assert.equal(bed.node.guest(101)?.status, "running");
  assert.deepEqual([...Deno.readDirSync(deep)], []);
});

Deno.test("without Proxmox on the machine the one line says so, status 4", async () => {
  await using bed = await makeBed();
  const { status, stderr } = await bed.run(["guests", "--all"], { PATH: "/usr/bin:/bin" });
  assert.equal(status, 4);
  assert.match(
    stderr,
    /^Cannot find Proxmox VE on this machine: "pvesh" is not installed; run this on a Proxmox VE node\n$/,
  );
});
