// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { needs, onPath } from "../needs.ts";
import type { SimOptions } from "../pve/mod.ts";
import { type Bed, type Finished, makeBed } from "./harness.ts";

/** Programs that every node has and this machine may lack. */
const NODE_PROGRAMS = [
  "cp",
  "df",
  "sendmail",
  "rsync",
  "tar",
  "mount",
  "umount",
  "cstream",
  "ionice",
  "lzop",
  "zstd",
];

/** A bed whose node has all programs, and what `doctor` says of it. */
async function makeHospital(options: SimOptions = {}) {
  const bed = await makeBed(options);
  Deno.chmodSync(bed.node.dir.replace(/\/[^/]+$/, ""), 0o755); // mapped users must get to the dump directory
  for (const program of NODE_PROGRAMS) {
    const path = `${bed.node.bin}/${program}`;
    if (!onPath(program)) Deno.writeTextFileSync(path, "#!/bin/sh\n", { mode: 0o755 });
  }
  const doctor = (...flags: string[]): Promise<Finished> =>
    bed.run(["doctor", "--dump-dir", bed.node.dumpDir, ...flags]);
  return { bed, doctor, [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose]() };
}

type Said = { type: string; severity: string; check: string; node?: string; text: string; remedy?: string };

const findings = (said: Finished, severity: string): Said[] =>
  (said.json as Said[]).filter((line) => line.type === "finding" && line.severity === severity);

/** The disk that the tests run on, and who runs them: no fault of the simulated node. */
const isOfTest = ({ check, text }: Said) =>
  (check === "dump_dir" && /free/.test(text)) || (check === "rights" && Deno.uid() !== 0);

const test = (name: string, fn: () => Promise<void>) => Deno.test({ name, fn, ...needs("flock") });

test("doctor finds nothing wrong with a healthy node, and changes nothing", async () => {
  await using hospital = await makeHospital({ guests: [{ vmid: 101 }, { vmid: 105, kind: "lxc" }] });
  const { bed, doctor } = hospital;
  const before = JSON.stringify(bed.node.state());
  const said = await doctor("--json");
  assert.deepEqual(
    [...findings(said, "problem"), ...findings(said, "warning")].filter((one) => !isOfTest(one)),
    [],
  );
  const checks = new Set(findings(said, "ok").map(({ check }) => check));
  for (
    const check of ["reach", "release", "rights", "tools", "clock", "storages", "locks", "staging", "quorum"]
  ) {
    assert.ok(checks.has(check), check);
  }
  assert.equal(JSON.stringify(bed.node.state()), before);
  assert.deepEqual(bed.leftovers(), []);
  const tools = new Set(bed.node.calls().map(({ tool, argv }) => `${tool} ${argv[0]}`));
  assert.deepEqual([...tools], ["pvesh get"]);
  const { stdout } = await doctor();
  assert.match(stdout, /^ok +pve1 +release +Proxmox VE 8\.4\.1$/m);
  assert.match(
    stdout.trimEnd().split("\n").at(-1) ?? "",
    /^\d+ problems?, \d+ warnings?, \d+ notes?, \d+ ok$/,
  );
});

test("doctor exits 1 for problems, and says what to do about each", async () => {
  await using hospital = await makeHospital({ guests: [{ vmid: 101 }], otherNodes: ["!pve2"] });
  const { bed, doctor } = hospital;
  bed.node.change((state) => state.quorate = false);
  const { status, stdout, stderr } = await bed.run(["doctor", "--dump-dir", `${bed.node.dumpDir}/none`]);
  assert.equal(status, 1, stderr);
  assert.match(stderr, /^Found \d problems?$/m);
  assert.match(stdout, /^PROBLEM +quorum .* has no quorum: .*; bring its nodes up again/m);
  assert.match(stdout, /^PROBLEM {2}pve1 {2}dump_dir .*none" does not exist; give another directory/m);
  assert.match(stdout, /^warning {2}pve2 {2}reach +the cluster reports it as offline/m);
  const json = await doctor("--json");
  assert.ok(findings(json, "problem").every(({ remedy }) => remedy !== undefined && remedy !== ""));
});

test("doctor warns of locks, storages and missing content types with exit status 0", async () => {
  await using hospital = await makeHospital({
    guests: [{ vmid: 101 }, { vmid: 102 }, { vmid: 103, status: "prelaunch" }],
    storages: [{ id: "nas", type: "nfs", content: "backup", active: false }, { id: "off", enabled: false }],
  });
  const { bed, doctor } = hospital;
  bed.node.setLock(101, "backup");
  bed.node.setLock(102, "migrate");
  bed.node.change((state) => state.storages["local-lvm"]!.content = "images");
  const said = await doctor("--json");
  const warnings = findings(said, "warning").filter((one) => !isOfTest(one));
  assert.deepEqual(warnings.map(({ check, text }) => [check, text.slice(0, 38)]), [
    ["storages", 'storage "nas" (backup) is not active'],
    ["storages", 'no active storage takes "rootdir": con'],
    ["locks", "VM 101 is locked (backup), but no vzdu"],
    ["locks", "VM 102 is locked (migrate): its backup"],
    ["locks", "VM 103 was started for a backup and wa"],
  ]);
  assert.ok(warnings.some(({ remedy }) => /cleanup --unlock/.test(remedy ?? "")));
  if (findings(said, "problem").length === 0) assert.equal(said.status, 0, said.stderr);
});

test("doctor tells of leftovers and of a dump directory that mapped users cannot reach", async () => {
  await using hospital = await makeHospital({ guests: [{ vmid: 105, kind: "lxc" }] });
  const { bed, doctor } = hospital;
  const left = `${bed.node.dumpDir}/plakar-proxmox-${"0".repeat(32)}-105`;
  Deno.mkdirSync(left, { mode: 0o711 });
  Deno.writeTextFileSync(`${left}/busy`, "");
  Deno.chmodSync(bed.node.dumpDir, 0o700);
  const said = await doctor("--json");
  const staging = findings(said, "warning").find(({ check }) => check === "staging");
  assert.match(staging?.text ?? "", /plakar-proxmox-0+-105" takes .* left over/);
  assert.match(staging?.remedy ?? "", /plakar-proxmox cleanup/);
  const closed = findings(said, "problem").find(({ text }) => /is closed to others/.test(text));
  assert.match(closed?.remedy ?? "", /^run: chmod o\+x "/);
  assert.equal(said.status, 1);
  assert.ok(Deno.statSync(left).isDirectory);
});

test("doctor --store finds guests without a recent backup", async () => {
  await using hospital = await makeHospital({ guests: [{ vmid: 101, name: "web" }, { vmid: 102 }] });
  const { bed, doctor } = hospital;
  assert.equal((await bed.run(["backup", "--vmid", "101", "--to", bed.store])).status, 0);
  const backups = (said: Finished) => (said.json as Said[]).filter(({ check }) => check === "backups");
  const fresh = backups(await doctor("--json", "--store", bed.store));
  assert.deepEqual(fresh.map(({ severity }) => severity), ["ok", "warning"]);
  assert.match(fresh[0]?.text ?? "", /^1 of 2 guests have a backup not older than 7 days/);
  assert.match(fresh[1]?.text ?? "", /^VM 102 .*has no backup in/);
  const { path } = bed.snapshot();
  Deno.renameSync(path, path.replace(/\d{4}-\d\d-\d\dT/, "2020-01-01T"));
  const old = backups(await doctor("--json", "--store", bed.store, "--max-age", "30"));
  assert.match(old[1]?.text ?? "", /^the newest backup of VM 101 "web" is \d+ days old$/);
  assert.match(old[1]?.remedy ?? "", /backup --vmid 101 --to /);
  const wrong = await doctor("--max-age", "30");
  assert.deepEqual([wrong.status, wrong.stderr], [2, "Cannot use --max-age without --store\n"]);
});

Deno.test("doctor exits 4 where no Proxmox node answers, with a finding", async () => {
  await using bed: Bed = await makeBed({});
  const said = await bed.run(["doctor", "--json"], { PATH: "/usr/bin:/bin" });
  assert.equal(said.status, 4);
  assert.equal(findings(said, "problem")[0]?.check, "reach");
  assert.match(said.stderr, /"pvesh" is not installed/);
});
