// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { makeBed } from "./harness.ts";

const MIB = 1024 * 1024;

Deno.test("backup --all writes each guest's archive, its record, manifest and report", async () => {
  await using bed = await makeBed({
    guests: [
      { vmid: 101, name: "web", tags: ["prod"], disks: [{ key: "scsi0", size: "8M" }] },
      { vmid: 102, name: "db", status: "stopped", pool: "databases" },
      { vmid: 105, kind: "lxc", name: "mail" },
    ],
    pools: ["databases"],
  });
  const { status, stdout, stderr } = await bed.run(["backup", "--all", "--to", bed.store]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^3 of 3 guests backed up, .* in .*\/store\//);

  const { path, names } = bed.snapshot();
  const archives = names.filter((name) => name.endsWith(".zst"));
  assert.equal(archives.length, 3);
  for (const name of archives) {
    assert.match(name, /^vzdump-(qemu|lxc)-10[125]-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.(vma|tar)\.zst$/);
  }
  assert.deepEqual(
    names,
    [...archives, ...archives.map((name) => `${name}.json`), "manifest.json", "report.json"].sort(),
  );
  for (const name of names) assert.equal(Deno.statSync(`${path}/${name}`).mode! & 0o777, 0o600, name);
  assert.equal(Deno.statSync(path).mode! & 0o777, 0o700);

  const manifest = bed.document("manifest.json");
  assert.deepEqual(manifest.guests.map((guest: { vmid: number }) => guest.vmid), [101, 102, 105]);
  assert.equal(manifest.guests[1].pool, "databases");
  assert.equal(manifest.guests[0].config.name, "web");
  const report = bed.document("report.json");
  assert.equal(report.outcome, "good");
  for (const guest of report.guests) {
    assert.equal(guest.archive.bytes, Deno.statSync(`${path}/${guest.archive.name}`).size);
    assert.equal(guest.archive.sha256, await sha256(`${path}/${guest.archive.name}`));
    assert.match(guest.log, /Finished Backup/);
  }
  assert.deepEqual(bed.leftovers(), []);
  assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
  assert.deepEqual(bed.node.notifications(), []);
});

for (
  const [value, suffix] of [["0", ".vma"], ["1", ".vma.lzo"], ["lzo", ".vma.lzo"], ["gzip", ".vma.gz"], [
    "zstd",
    ".vma.zst",
  ]]
) {
  Deno.test(`backup --backup-compression ${value} writes a whole ${suffix}`, async () => {
    await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "5M" }] }] });
    const flags = ["--backup-compression", value as string];
    const { status, stderr } = await bed.run(["backup", "--vmid", "101", "--to", bed.store, ...flags]);
    assert.equal(status, 0, stderr);
    assert.equal(bed.snapshot().names.filter((name) => name.endsWith(suffix as string)).length, 1);
    const verified = await bed.run(["verify", "--from", bed.store]);
    assert.equal(verified.status, 0, verified.stdout + verified.stderr);
  });
}

Deno.test("backup keeps the good guests when one fails midway, and says so", async () => {
  await using bed = await makeBed({
    guests: [{ vmid: 101, name: "web" }, { vmid: 102, name: "db" }, { vmid: 103 }],
  });
  bed.node.fault(102, { failAfterBytes: 2 * MIB });
  const args = ["backup", "--all", "--to", bed.store, "--backup-compression", "0"];
  const { status, stderr } = await bed.run(args);
  assert.equal(status, 3, stderr);
  assert.match(stderr, /Cannot back up VM 102: /);
  assert.match(stderr, /without 102/);
  const { names } = bed.snapshot();
  assert.equal(names.filter((name) => name.endsWith(".vma")).length, 2);
  assert.ok(!names.some((name) => name.includes("-102-")), names.join(", "));
  const report = bed.document("report.json");
  assert.equal(report.outcome, "partial");
  assert.deepEqual(report.guests.map((guest: { outcome: string }) => guest.outcome), [
    "good",
    "failed",
    "good",
  ]);
  assert.deepEqual(bed.leftovers(), []);
  assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
});

const FAULTS = {
  "exits 255 after the last byte": { failAfterLastByte: true },
  "ends well without a byte": { emptyStream: true },
  "cuts its stream silently": { cutAtBytes: 3 * MIB },
  "fails before the first byte": { failAtStart: "storage is not online" },
  "writes the other kind": { wrongKind: true },
  "writes a damaged header": { flipByteAt: 100 },
  "writes a damaged extent header": { flipByteAt: 12800 + 60 },
} as const;

for (const [what, fault] of Object.entries(FAULTS)) {
  Deno.test(`backup stores nothing and fails when vzdump ${what}`, async () => {
    await using bed = await makeBed({ guests: [{ vmid: 101, disks: [{ key: "scsi0", size: "8M" }] }] });
    bed.node.fault(101, fault);
    const args = ["backup", "--vmid", "101", "--to", bed.store, "--backup-compression", "0"];
    const { status, stderr } = await bed.run(args);
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^Cannot back up VM 101: /);
    assert.doesNotMatch(stderr, /file:\/\/|\n {4}at /);
    assert.deepEqual(bed.snapshot().names, ["manifest.json", "report.json"]);
    assert.equal(bed.document("report.json").outcome, "failed");
    assert.deepEqual(bed.leftovers(), []);
    assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
  });
}

Deno.test("backup --on-error fail stops at the first failure and fails the run", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102 }, { vmid: 103 }] });
  bed.node.fault(102, { failAtStart: "no" });
  const { status } = await bed.run(["backup", "--all", "--to", bed.store, "--on-error", "fail"]);
  assert.equal(status, 1);
  const outcomes = bed.document("report.json").guests.map((guest: { outcome: string }) => guest.outcome);
  assert.deepEqual(outcomes, ["good", "failed", "not-started"]);
});

Deno.test("backup --retry-failed takes just what failed before", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102 }] });
  bed.node.fault(102, { failAtStart: "no" });
  assert.equal((await bed.run(["backup", "--all", "--to", bed.store])).status, 3);
  bed.node.fault(102, {});
  const again = await bed.run(["backup", "--retry-failed", "--to", bed.store, "--json"]);
  assert.equal(again.status, 0, again.stderr);
  assert.deepEqual(again.json.filter(({ type }) => type === "guest").map(({ vmid }) => vmid), [102]);
  const none = await bed.run(["backup", "--retry-failed", "--to", bed.store]);
  assert.equal(none.status, 2);
  assert.match(none.stderr, /nothing failed/);
});

Deno.test("backup of guests on other nodes: by vmid they are tried, by pool left out, all means this node", async () => {
  await using bed = await makeBed({
    otherNodes: ["pve2"],
    pools: ["prod"],
    guests: [{ vmid: 101, pool: "prod" }, { vmid: 201, node: "pve2", pool: "prod" }],
  });
  const byVmid = await bed.run(["backup", "--vmid", "101,201", "--to", `${bed.store}1`, "--json"]);
  assert.equal(byVmid.status, 3);
  const foreign = byVmid.json.find(({ vmid }) => vmid === 201);
  assert.equal(foreign.outcome, "failed");
  assert.match(foreign.error, /^Cannot back up VM 201: Cannot reach .*"pve2"/);

  const byPool = await bed.run(["backup", "--pool", "prod", "--to", `${bed.store}2`, "--json"]);
  assert.equal(byPool.status, 3);
  assert.equal(byPool.json.find(({ vmid }) => vmid === 201).outcome, "left-out");

  const all = await bed.run(["backup", "--all", "--to", `${bed.store}3`]);
  assert.equal(all.status, 0, all.stderr);
  assert.match(all.stderr, /1 guest of other nodes/);
  const dumped = bed.node.calls().filter(({ tool }) => tool === "vzdump").map(({ argv }) => argv[0]);
  assert.ok(!dumped.includes("201"));
});

Deno.test("backup leaves the user's archives alone, whatever vzdump.conf says about storage and pruning", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }] });
  bed.node.setVzdumpConf(
    "storage: local\nprune-backups: keep-last=1\ncompress: gzip\nmailto: root@example.org\n",
  );
  const own = ["vzdump-qemu-101-2024_01_02-03_04_05.vma.zst", "vzdump-qemu-101-2024_01_03-03_04_05.vma.zst"];
  for (const name of own) Deno.writeTextFileSync(`${bed.node.dumpDir}/${name}`, "mine");
  for (const method of ["stream", "file"]) {
    const args = ["backup", "--vmid", "101", "--to", `${bed.store}-${method}`, "--backup-method", method];
    const { status, stderr } = await bed.run(args);
    assert.equal(status, 0, stderr);
  }
  assert.deepEqual(bed.leftovers().sort(), own);
  assert.deepEqual(bed.node.notifications(), []);
});

Deno.test("backup --backup-method file --cleanup false keeps vzdump's archive in the dump directory", async () => {
  await using bed = await makeBed({ guests: [{ vmid: 101 }] });
  const flags = ["--backup-method", "file", "--cleanup", "false"];
  const { status, stderr } = await bed.run(["backup", "--vmid", "101", "--to", bed.store, ...flags]);
  assert.equal(status, 0, stderr);
  const [kept, ...others] = bed.leftovers();
  assert.match(kept ?? "", /^vzdump-qemu-101-.*\.vma\.zst$/);
  assert.deepEqual(others, []);
});

async function sha256(path: string): Promise<string> {
  const { stdout } = await new Deno.Command("sha256sum", { args: [path] }).output();
  return new TextDecoder().decode(stdout).split(" ")[0] ?? "";
}
