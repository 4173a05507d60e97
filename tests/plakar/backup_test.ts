// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { needs } from "../needs.ts";
import { type Bed, describe, type Finished, makeBed, untidiness } from "./bed.ts";

const MIB = 1024 * 1024;

const THREE = {
  pools: ["prod"],
  guests: [
    { vmid: 101, name: "web", disks: [{ key: "scsi0", size: "8M" }] },
    { vmid: 102, name: "db", pool: "prod" },
    { vmid: 105, kind: "lxc" as const, name: "mail", pool: "prod" },
  ],
};

Deno.test({
  name: "plakar backs up guests by vmid, by pool and all, and gives back just what vzdump wrote",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed(THREE);
    await writeVzdumpCopier(bed);

    await t.step(
      "1. a source is added once; it can be checked and pinged without naming guests",
      async () => {
        for (const word of ["check", "ping"]) {
          const said = await bed.plakar("source", word, "pve");
          assert.equal(said.status, 0, describe(said));
        }
        assert.deepEqual(dumped(bed), []);
      },
    );

    await t.step("2. by vmid: manifest, the archive under its canonical name, report", async () => {
      const { id, said } = await bed.backup("vmid=101");
      assert.equal(said.stderr, "");
      const [manifest, report, archive, ...others] = await bed.files(id);
      assert.deepEqual([manifest, report, others], ["/manifest.json", "/report.json", []]);
      assert.match(archive as string, /^\/vzdump-qemu-101-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d\.vma$/);
      assert.deepEqual(vmidsOf((await bed.json(`${id}:/manifest.json`)).guests), [101]);
      assert.equal((await bed.json(`${id}:/report.json`)).outcome, "good");
    });

    await t.step("3. by pool: its guests, VMs and containers", async () => {
      const { id, said } = await bed.backup("pool=prod");
      assert.equal(said.stderr, "");
      assert.deepEqual(archivesOf(await bed.files(id)), ["lxc-105.tar", "qemu-102.vma"]);
    });

    await t.step("4. all, then check", async () => {
      const { id, said } = await bed.backup("all=true");
      assert.equal(said.stderr, "");
      assert.deepEqual(archivesOf(await bed.files(id)), ["lxc-105.tar", "qemu-101.vma", "qemu-102.vma"]);
      assert.equal((await bed.at("check", id)).status, 0);
    });

    await t.step("5. every byte is the one that vzdump wrote, and the report knows how many", async () => {
      const [id] = await bed.snapshots();
      const { guests } = await bed.json(`${id}:/report.json`);
      assert.deepEqual(vmidsOf(guests), [101, 102, 105]);
      for (const { vmid, archive, log } of guests) {
        const stored = await bed.cat(`${id}:/${archive.name}`);
        assert.equal(stored.byteLength, archive.bytes);
        assert.equal(sha256(stored), sha256(Deno.readFileSync(`${bed.dir}/written-${vmid}`)), archive.name);
        assert.match(log, /Finished Backup/);
      }
    });

    await t.step("6. a second backup of unchanged guests holds them all again", async () => {
      const { id } = await bed.backup("all=true");
      assert.deepEqual(archivesOf(await bed.files(id)), ["lxc-105.tar", "qemu-101.vma", "qemu-102.vma"]);
      for (const { vmid, archive } of (await bed.json(`${id}:/report.json`)).guests) {
        const stored = await bed.cat(`${id}:/${archive.name}`);
        assert.equal(sha256(stored), sha256(Deno.readFileSync(`${bed.dir}/written-${vmid}`)), archive.name);
      }
    });

    await t.step("7. the node is as it was", () => assertClean(bed));
  },
});

Deno.test({
  name: "plakar's snapshot holds the good guests when one fails midway, and counts one error",
  ...needs("go"),
  async fn() {
    // 1. The second of three guests fails after some bytes.
    await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102, name: "db" }, { vmid: 103 }] });
    bed.node.fault(102, { failAfterBytes: 2 * MIB });
    const { id, said } = await bed.backup("all=true");

    // 2. The snapshot has the other two, and no part of it.
    assert.deepEqual(archivesOf(await bed.files(id)), ["qemu-101.vma", "qemu-103.vma"]);
    const outcomes = (await bed.json(`${id}:/report.json`)).guests.map((
      guest: { vmid: number; outcome: string },
    ) => [
      guest.vmid,
      guest.outcome,
    ]);
    assert.deepEqual(outcomes, [[101, "good"], [102, "failed"], [103, "good"]]);

    // 3. plakar counts it once, shows the reason, and one line of ours names it at the end.
    assert.match(said.text + said.stderr, /with 1 error/, describe(said));
    const errors = await bed.at("info", "-errors", id);
    assert.match(errors.text, /Cannot back up VM 102: /, describe(errors));
    assert.equal(errors.text.match(/Cannot back up/g)?.length, 1, describe(errors));
    assert.equal(linesOfOurs(said), "Not backed up: 102\n");
    assertClean(bed);
  },
});

Deno.test({
  name: "plakar makes no snapshot and exits 1 when on_error=fail meets a failure, or no archive is good",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [{ vmid: 101 }, { vmid: 102 }] });
    bed.node.fault(102, { failAfterBytes: 2 * MIB });

    // 1. One of two failed, and that is to fail all.
    const strict = await bed.at("backup", "-o", "all=true", "-o", "on_error=fail", "@pve");
    assert.equal(strict.status, 1, describe(strict));
    assert.match(
      strict.text,
      /plakar: failed to backup source: .*The backup failed: Cannot back up VM 102: /,
    );
    assert.deepEqual(await bed.snapshots(), []);

    // 2. The only guest failed.
    const lost = await bed.at("backup", "-o", "vmid=102", "@pve");
    assert.equal(lost.status, 1, describe(lost));
    assert.match(lost.text, /plakar: failed to backup source: .*Cannot back up VM 102: /);
    assert.deepEqual(await bed.snapshots(), []);

    // 3. The only guest that was asked for is not there.
    const missing = await bed.at("backup", "-o", "vmid=999", "@pve");
    assert.equal(missing.status, 1, describe(missing));
    assert.match(
      missing.text,
      /plakar: failed to backup source: .*Cannot back up guest 999: no guest has this vmid/,
    );
    assert.deepEqual(await bed.snapshots(), []);
    assertClean(bed);
  },
});

Deno.test({
  name: "one vzdump runs at a time, however many files plakar reads at once",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(THREE);
    const said = await bed.plakar("-concurrency", "3", "at", bed.store, "backup", "-o", "all=true", "@pve");
    assert.equal(said.status, 0, describe(said));
    const calls = bed.node.calls().filter(({ tool, argv }) => tool === "vzdump" && argv.includes("--stdout"));
    assert.equal(calls.length, 3);
    calls.forEach(({ started }, index) => {
      const before = calls[index - 1];
      assert.ok(before === undefined || (before.ended !== null && before.ended <= started));
    });
    const [id] = await bed.snapshots();
    assert.deepEqual(archivesOf(await bed.files(id as string)), [
      "lxc-105.tar",
      "qemu-101.vma",
      "qemu-102.vma",
    ]);
    assertClean(bed);
  },
});

Deno.test({
  name: "plakar backup -dry-run lists the guests and starts no vzdump",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(THREE);
    const said = await bed.at("backup", "-dry-run", "-o", "all=true", "@pve");
    assert.equal(said.status, 0, describe(said));
    assert.equal(said.stderr, "");
    for (const name of ["qemu-101", "qemu-102", "lxc-105"]) {
      assert.ok(said.text.includes(`/vzdump-${name}-`), describe(said));
    }
    assert.deepEqual(dumped(bed), []);
    assert.deepEqual(await bed.snapshots(), []);
    assertClean(bed);
  },
});

const WRONG = [
  { option: "backup_mod=stop", says: /Unknown option "backup_mod"; did you mean "backup_mode"\?/ },
  { option: "backup_mode=fast", says: /Cannot use "fast" for "backup_mode": must be one of snapshot, / },
  { option: "newid=200", says: /Cannot use "newid" here: it belongs to plakar's destinations/ },
  { option: "vmid=12", says: /Cannot use "12" for "vmid": / },
  { option: "pool=prod", says: /vmid and pool are given together/ },
];

Deno.test({
  name: "plakar exits with our sentence when an option is wrong, and nothing is started",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [{ vmid: 101 }] });
    for (const { option, says } of WRONG) {
      const options = option.startsWith("vmid") ? [option] : ["vmid=101", option];
      const said = await bed.at("backup", ...options.flatMap((each) => ["-o", each]), "@pve");
      assert.notEqual(said.status, 0, describe(said));
      assert.match(said.text, says);
      assert.doesNotMatch(said.text, /rpc error|file:\/\//);
    }
    const none = await bed.at("backup", "@pve");
    assert.notEqual(none.status, 0, describe(none));
    assert.match(none.text, /no guests are selected/);
    assert.deepEqual(dumped(bed), []);
    assert.deepEqual(await bed.snapshots(), []);
  },
});

Deno.test({
  name: "plakar refuses two sources of one host in one command, rather than to lose one silently",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(THREE);
    // 1. Two sources, each with its own guests.
    for (const vmid of [101, 105]) {
      const added = await bed.plakar(
        ...["source", "add", `guest${vmid}`, "proxmox://", `vmid=${vmid}`, `dump_dir=${bed.node.dumpDir}`],
      );
      assert.equal(added.status, 0, describe(added));
    }
    // 2. Both in one command: plakar would merge what both have at "/", which our flags forbid.
    const both = await bed.at("backup", "@guest101", "@guest105");
    assert.equal(both.status, 1, describe(both));
    assert.match(both.text, /cannot merge multiple importer/);
    assert.deepEqual(await bed.snapshots(), []);
    assert.deepEqual(dumped(bed), []);
    // 3. One after the other, both are there.
    for (const vmid of [101, 105]) assert.equal((await bed.at("backup", `@guest${vmid}`)).status, 0);
    const archives = await Promise.all(
      (await bed.snapshots()).map(async (id) => archivesOf(await bed.files(id))),
    );
    assert.deepEqual(archives.flat().sort(), ["lxc-105.tar", "qemu-101.vma"]);
    assertClean(bed);
  },
});

Deno.test({
  name: "layout=tree and sidecars=false change what stands beside the archives",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(THREE);
    // 1. As the Go integration for Proxmox lays a snapshot out.
    const tree = await bed.backup("vmid=101-102", "layout=tree");
    const undated = (await bed.files(tree.id)).map((path) =>
      path.replace(/-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d/, "")
    );
    assert.deepEqual(undated, [
      "/.manifest.json",
      "/.report.json",
      "/backup/qemu/101_web/vzdump-qemu-101.vma",
      "/backup/qemu/101_web/vzdump-qemu-101.vma_qemu.conf",
      "/backup/qemu/102_db/vzdump-qemu-102.vma",
      "/backup/qemu/102_db/vzdump-qemu-102.vma_pool.conf",
      "/backup/qemu/102_db/vzdump-qemu-102.vma_qemu.conf",
    ]);
    const pool = (await bed.files(tree.id)).find((path) => path.endsWith("_pool.conf"));
    assert.equal(new TextDecoder().decode(await bed.cat(`${tree.id}:${pool}`)).trim(), "prod");

    // 2. Archives alone.
    const bare = await bed.backup("vmid=101-102", "sidecars=false");
    assert.deepEqual(archivesOf(await bed.files(bare.id)), ["qemu-101.vma", "qemu-102.vma"]);
    assert.equal((await bed.files(bare.id)).length, 2);
  },
});

/** vzdump on the node keeps a copy of what it wrote for a guest: `written-VMID` in the bed's directory. */
async function writeVzdumpCopier(bed: Bed): Promise<void> {
  const path = `${bed.dir}/bin/vzdump`;
  const script = `#!/bin/bash
case " $* " in
*" --stdout 1 "*) set -o pipefail; '${bed.node.bin}/vzdump' "$@" | tee '${bed.dir}'/written-"$1" ;;
*) exec '${bed.node.bin}/vzdump' "$@" ;;
esac
`;
  await Deno.writeTextFile(path, script);
  await Deno.chmod(path, 0o755);
}

/** Kind, vmid and suffix of the archives among the files. */
function archivesOf(files: readonly string[]): string[] {
  return files.flatMap((path) => {
    const [, guest, suffix] = /\/vzdump-((?:qemu|lxc)-\d+)-[\d_-]+(\..*)$/.exec(path) ?? [];
    return guest === undefined || suffix?.endsWith(".conf") ? [] : [`${guest}${suffix}`];
  }).sort();
}

function vmidsOf(guests: { vmid: number }[]): number[] {
  return guests.map(({ vmid }) => vmid);
}

/** vmids that vzdump was started for. */
function dumped(bed: Bed): (string | undefined)[] {
  return bed.node.calls().filter(({ tool }) => tool === "vzdump").map(({ argv }) => argv[0]);
}

/** What stands on stderr that is not plakar's own. */
function linesOfOurs({ stderr }: Finished): string {
  return stderr.split("\n").filter((line) => line !== "" && !/^\S*plakar: |^[0-9a-f]{8}: /.test(line))
    .map((line) => `${line}\n`).join("");
}

function assertClean(bed: Bed): void {
  assert.equal(untidiness(bed), undefined);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
