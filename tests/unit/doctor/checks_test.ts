import assert from "node:assert/strict";
import type { Guest } from "../../../src/core/guest.ts";
import type { NodeCheck, Patient } from "../../../src/doctor/check.ts";
import { lookAtBackups } from "../../../src/doctor/checks/backups.ts";
import { clock, release, rights, tools } from "../../../src/doctor/checks/basics.ts";
import { lookAtQuorum, storages } from "../../../src/doctor/checks/cluster.ts";
import { locks } from "../../../src/doctor/checks/leftovers.ts";
import { dumpDir, tmpdir } from "../../../src/doctor/checks/places.ts";
import { explainSettings, vzdumpConf } from "../../../src/doctor/checks/vzdump_conf.ts";
import type { NodeFiles } from "../../../src/runner/runner.ts";
import { type Answer, byPath, exits, standInNode } from "../proxmox/node_stand_in.ts";

const NOW = new Date("2026-01-31T12:00:00Z");
const GIB = 1024 ** 3;

interface Symptoms extends Partial<Omit<Patient, "node">> {
  answers?: Record<string, Answer>;
  files?: Partial<NodeFiles>;
  release?: string;
  missing?: string[];
}

/** What a check sees of a node with these symptoms. */
async function sees(check: NodeCheck, symptoms: Symptoms): Promise<string[]> {
  const { answers = {}, files = {}, missing = [], ...patient } = symptoms;
  const node = standInNode({ run: byPath({ "/storage": "[]", ...answers }), files }, symptoms.release);
  node.runner.hasTool = (...[name]: string[]) => Promise.resolve(!missing.includes(name ?? ""));
  const seen = await check.look({
    vzdumpConf: {},
    dumpDir: "/var/dump",
    guests: [],
    now: () => NOW,
    ...patient,
    node,
  });
  return seen.map(({ severity, text }) => `${severity}: ${text}`);
}

const guest = (given: Partial<Guest>): Guest => ({
  vmid: 101,
  kind: "qemu",
  node: "pve1",
  status: "running",
  template: false,
  tags: [],
  ...given,
});

Deno.test("release tells releases that are older or newer than this program", async () => {
  assert.deepEqual(await sees(release, { release: "9.1.2" }), ["ok: Proxmox VE 9.1.2"]);
  assert.match((await sees(release, { release: "6.4-1" }))[0] ?? "", /^warning: .*6\.4-1 is older/);
  assert.match((await sees(release, { release: "10.0" }))[0] ?? "", /^note: .*10\.0 is newer/);
});

Deno.test("rights asks who runs the commands", async () => {
  assert.deepEqual(await sees(rights, { answers: { "id -u": "0\n" } }), ["ok: commands run as root"]);
  assert.match((await sees(rights, { answers: { "id -u": "1000\n" } }))[0] ?? "", /^problem: .*uid 1000/);
});

Deno.test("tools names each missing program, and what fails without it", async () => {
  const answers = { [String.raw`sh -c printf "a\0b\n" | grep -aq "a.*b"`]: "" };
  assert.deepEqual(await sees(tools, { answers }), ["ok: all tools are there"]);
  const seen = await sees(tools, { answers, missing: ["qmrestore", "cstream", "flock", "zstd"] });
  assert.deepEqual(seen.map((text) => text.slice(0, 32)), [
    'problem: "qmrestore" is missing',
    'problem: "cstream" is missing, a',
    'problem: "flock" is missing',
    'warning: "zstd" is missing: back',
  ]);
});

Deno.test("clock tells a clock that differs, and takes whole seconds for what they are", async () => {
  const at = (seconds: number) =>
    sees(clock, { answers: { "date +%s": `${NOW.getTime() / 1000 + seconds}\n` } });
  for (const seconds of [-6, -1, 0, 5]) {
    assert.deepEqual(await at(seconds), ["ok: its clock agrees with this machine's"], String(seconds));
  }
  assert.match((await at(90))[0] ?? "", /^warning: its clock is 90 s ahead of/);
  assert.match((await at(-91))[0] ?? "", /^warning: its clock is 90 s behind/);
  assert.deepEqual(await sees(clock, { answers: { "date +%s": "?" } }), [
    "warning: its clock cannot be read",
  ]);
});

Deno.test("storages tells what is inactive, nearly full or missing, and leaves disabled ones out", async () => {
  const answer = JSON.stringify([
    { storage: "local", content: "iso,backup", active: 1, total: 100 * GIB, avail: 0 },
    { storage: "thin", content: "images", active: 1, total: 100 * GIB, avail: 4 * GIB },
    { storage: "nas", content: "rootdir", active: 0, total: 0, avail: 0 },
    { storage: "off", content: "rootdir", enabled: 0, active: 0 },
  ]);
  assert.deepEqual(await sees(storages, { answers: { "/nodes/pve1/storage": answer } }), [
    'ok: storage "local" (backup, iso): 0 B of 100 GiB free',
    'warning: storage "thin" (images) is nearly full, 4 GiB of 100 GiB free: restores onto it fail',
    'warning: storage "nas" (rootdir) is not active',
    'warning: no active storage takes "rootdir": containers cannot be restored on this node',
  ]);
});

Deno.test("lookAtQuorum() tells a cluster that cannot write its configuration", async () => {
  const node = (status: unknown) =>
    standInNode({ run: byPath({ "/cluster/status": JSON.stringify(status) }) });
  assert.equal((await lookAtQuorum(node([{ type: "node", name: "pve1" }])))[0]?.severity, "ok");
  assert.equal((await lookAtQuorum(node([{ type: "cluster", quorate: 1 }])))[0]?.severity, "ok");
  assert.equal((await lookAtQuorum(node([{ type: "cluster", quorate: 0 }])))[0]?.severity, "problem");
});

/** A directory below closed or open ones, with so much space. */
function directory(modes: Record<string, number>, free = 50 * GIB): Partial<NodeFiles> {
  return {
    stat: (path) =>
      Promise.resolve(modes[path] === undefined ? null : { kind: "dir", size: 0, mode: modes[path] }),
    freeSpace: () => Promise.resolve({ free, total: 100 * GIB }),
  };
}

Deno.test("dump_dir must be there, writable, open to mapped users, and have space", async () => {
  const answers: Record<string, Answer> = { "test -w /var/dump": "" };
  const open = { "/var": 0o755, "/var/dump": 0o711 };
  const good = await sees(dumpDir, { answers, files: directory(open) });
  assert.deepEqual(good, ['ok: "/var/dump": archives up to 45 GiB can be staged']);
  assert.deepEqual(await sees(dumpDir, { answers, files: directory({}) }), [
    'problem: "/var/dump" does not exist',
  ]);
  const full = await sees(dumpDir, { answers, files: directory(open, 3 * GIB) });
  assert.match(full[0] ?? "", /^problem: "\/var\/dump" has only 3 GiB free/);
  const closed = { answers, files: directory({ ...open, "/var": 0o700 }) };
  assert.match((await sees(dumpDir, closed))[0] ?? "", /^warning: "\/var" is closed to others/);
  const withContainer = { ...closed, guests: [guest({ kind: "lxc" })] };
  assert.match((await sees(dumpDir, withContainer))[0] ?? "", /^problem: "\/var" is closed to others/);
});

Deno.test("dump_dir under a storage that is not active is a problem", async () => {
  const answers = {
    "/nodes/pve1/storage": JSON.stringify([{ storage: "nas", type: "nfs", active: 0 }]),
  };
  const seen = await sees(dumpDir, { dumpDir: "/mnt/pve/nas/dump", answers });
  assert.deepEqual(seen, ['problem: Cannot use "/mnt/pve/nas/dump": its storage "nas" is not active']);
});

Deno.test("tmpdir is looked at where an option or vzdump.conf names one", async () => {
  assert.deepEqual(await sees(tmpdir, {}), []);
  const conf = { vzdumpConf: { tmpdir: "/tmp/here" }, files: directory({}) };
  assert.deepEqual(await sees(tmpdir, conf), ['problem: "/tmp/here" does not exist']);
  const given = { ...conf, tmpdir: "/tmp/there", files: directory({ "/tmp": 0o777, "/tmp/there": 0o755 }) };
  const seen = await sees(tmpdir, { ...given, answers: { "test -w /tmp/there": "" } });
  assert.deepEqual(seen, ['ok: "/tmp/there" can be used']);
});

Deno.test("explainSettings() says of each setting whether it applies to our dumps", () => {
  const said = explainSettings({
    storage: "nas",
    bwlimit: "0",
    ionice: "8",
    "exclude-path": "/srv",
    stdexcludes: "0",
    quiet: "1",
    unheard: "of",
  });
  assert.deepEqual(said.map(({ severity, text }) => `${severity} ${text.split(":")[0]}`), [
    "note storage",
    "note ionice",
    "warning exclude-path",
    "note stdexcludes",
    "warning quiet hides vzdump's log",
  ]);
});

Deno.test("vzdump.conf with a hook script that cannot run is a problem", async () => {
  const look = (answer: Answer, there: boolean) =>
    sees(vzdumpConf, {
      vzdumpConf: { script: "/root/hook" },
      answers: { "test -x /root/hook": answer },
      files: { stat: () => Promise.resolve(there ? { kind: "file", size: 1, mode: 0o644 } : null) },
    });
  assert.match((await look("", true))[0] ?? "", /^note: script: "\/root\/hook" runs for our dumps too/);
  await assert.rejects(look(exits(2, "broken"), true), /broken/);
  assert.deepEqual(await sees(vzdumpConf, {}), [
    "ok: /etc/vzdump.conf has nothing that changes our dumps",
  ]);
});

Deno.test("locks passes over guests that are asleep", async () => {
  const runner = standInNode({
    run: () => "",
    files: { list: () => Promise.reject(new Error("none")) },
  }).runner;
  runner.run = () => Promise.resolve({ status: 1, stdout: "", stderr: "", logTail: "" });
  const patient = { node: { ...standInNode({}), runner }, vzdumpConf: {}, dumpDir: "/d", now: () => NOW };
  const seen = await locks.look({ ...patient, guests: [guest({ lock: "suspended" })] });
  assert.deepEqual(seen.map(({ text }) => text), ["no guest is locked"]);
  runner.files.list = () => Promise.resolve(["rootfs"]);
  const stale = await locks.look({ ...patient, guests: [guest({ lock: "snapshot", kind: "lxc" })] });
  assert.deepEqual(stale.map(({ severity, remedy }) => [severity, remedy]), [
    ["warning", 'once nothing is at work on it, run "pct unlock 101"'],
    ["warning", 'run "umount -R /mnt/vzsnap0"'],
  ]);
});

Deno.test("lookAtBackups() warns of guests without a recent backup, and only notes templates", () => {
  const guests = [
    guest({ vmid: 101 }),
    guest({ vmid: 102, name: "db" }),
    guest({ vmid: 103, template: true }),
  ];
  const newest = new Map([[101, new Date("2026-01-30T12:00:00Z")], [102, new Date("2026-01-20T12:00:00Z")]]);
  const seen = lookAtBackups(guests, { store: "/store", newest, maxAge: 7 }, NOW);
  assert.deepEqual(seen.map(({ severity, text }) => `${severity}: ${text}`), [
    'ok: 1 of 3 guests have a backup not older than 7 days in "/store"',
    'warning: the newest backup of VM 102 "db" is 11 days old',
    'note: VM 103 has no backup in "/store"',
  ]);
});

Deno.test("lookAtBackups() takes no backup of the future for a recent one", () => {
  const newest = new Map([[101, new Date("2036-01-30T12:00:00Z")]]);
  const seen = lookAtBackups([guest({ vmid: 101 })], { store: "/store", newest, maxAge: 7 }, NOW);
  assert.deepEqual(seen.map(({ severity, text }) => `${severity}: ${text}`), [
    'ok: 0 of 1 guests have a backup not older than 7 days in "/store"',
    'warning: the newest backup of VM 101 in "/store" is of the future, 2036-01-30T12:00:00.000Z',
  ]);
});
