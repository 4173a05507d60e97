import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { type Bed, changes, describe, makeBed, untidiness } from "./bed.ts";

const TWO = {
  pools: ["prod"],
  guests: [
    { vmid: 101, name: "web", pool: "prod", disks: [{ key: "scsi0", size: "8M" }] },
    { vmid: 105, kind: "lxc" as const, name: "mail", status: "stopped" },
  ],
};

/** A VM of the same vmid that has nothing to do with the one in the archive. */
const STRANGER = {
  name: "stranger",
  smbios1: "uuid=11111111-2222-4333-8444-555555555555",
  net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0",
};

Deno.test({
  name: "plakar restores guests over themselves, under a new vmid, and out of one single file",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed(TWO);
    const { id } = await bed.backup("all=true");
    const before = digests(bed);
    const archive = await archivePath(bed, id, 101);

    await t.step("1. the destination is there", async () => {
      const said = await bed.plakar("destination", "ping", "pve");
      assert.equal(said.status, 0, describe(said));
    });

    await t.step("2. in place: the running VM is stopped, replaced and started again", async () => {
      bed.node.destroyGuest(105);
      overwriteDisk(bed, 101);
      assert.notEqual(bed.node.sha256(101, "scsi0"), before[0]);
      const said = await bed.restore(id);
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.deepEqual(digests(bed), before);
      assert.equal(bed.node.guest(101)?.status, "running");
      assert.equal(bed.node.guest(105)?.status, "stopped");
      const verbs = bed.node.calls().filter(({ tool }) => tool === "qm" || tool === "qmrestore");
      const steps = verbs.map(({ tool, argv }) => tool === "qm" ? argv[0] : tool);
      const order = ["shutdown", "qmrestore", "start"].map((step) => steps.indexOf(step));
      assert.deepEqual(order, order.toSorted((a, b) => a - b), steps.join(" "));
      assert.ok(!order.includes(-1), steps.join(" "));
    });

    await t.step("3. of one file, to a new vmid: the original stays, the copy is not started", async () => {
      const said = await bed.restore(`${id}:${archive}`, "newid=300");
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.equal(bed.node.sha256(300, "scsi0"), before[0]);
      assert.equal(bed.node.guest(300)?.status, "stopped");
      assert.equal(bed.node.guest(101)?.status, "running");
      assert.notEqual(bed.node.guest(300)?.entries.net0, bed.node.guest(101)?.entries.net0);
    });

    await t.step("4. a dry run says what would be done, and does nothing", async () => {
      const calls = changes(bed).length;
      const said = await bed.restore(`${id}:${archive}`, "dry_run=true");
      assert.equal(said.status, 0, describe(said));
      assert.match(said.stderr, /101/);
      assert.equal(changes(bed).length, calls);
    });

    await t.step("5. nothing is left on the node", () => assertClean(bed));
  },
});

Deno.test({
  name: "plakar restore is refused over somebody else's guest and exits 1, the others are restored",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(TWO);
    const { id } = await bed.backup("all=true");
    // 1. 101 became somebody else's meanwhile, 105 is gone.
    bed.node.setConfig(101, STRANGER);
    overwriteDisk(bed, 101);
    const theirs = bed.node.sha256(101, "scsi0");
    bed.node.destroyGuest(105);
    // 2. The one is refused, the other one restored.
    const said = await bed.restore(id);
    assert.equal(said.status, 1, describe(said));
    assert.match(said.text, /Cannot restore VM 101: the guest that stands there, "stranger", is not the one/);
    assert.equal(bed.node.sha256(101, "scsi0"), theirs);
    assert.equal(bed.node.guest(101)?.status, "running");
    assert.equal(bed.node.guest(101)?.entries.name, "stranger");
    assert.ok(bed.node.guest(105));
    assertClean(bed);
  },
});

Deno.test({
  name: "plakar restore exits 1 when a restore tool fails: the old guest runs again, the others are restored",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(TWO);
    const { id } = await bed.backup("all=true");
    const before = digests(bed);
    bed.node.destroyGuest(105);
    // 1. qmrestore gives up before it has destroyed anything.
    bed.node.fault(101, { restoreFailsBeforeDestroy: "storage is locked" });
    const said = await bed.restore(id);
    assert.equal(said.status, 1, describe(said));
    assert.match(said.text, /Cannot restore VM 101: .*storage is locked/);
    // 2. The guest is as it was, and the container is back.
    assert.deepEqual(digests(bed), before);
    assert.equal(bed.node.guest(101)?.status, "running");
    assertClean(bed);
  },
});

Deno.test({
  name:
    "plakar restore exits 1 when two archives have one target: none is restored where a manifest told before",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(TWO);
    // 1. The manifest comes first and tells of both: it is not for us to choose one.
    const told = await bed.backup("all=true");
    const none = await bed.restore(told.id, "newid=300");
    assert.equal(none.status, 1, describe(none));
    assert.match(
      none.text,
      /2 guests cannot all be restored to vmid 300; restore one of them, or pass newid=next/,
    );
    assert.deepEqual(changes(bed), []);
    // 2. Without one, the second is refused when it comes.
    const bare = await bed.backup("all=true", "sidecars=false");
    const first = await bed.restore(bare.id, "newid=300");
    assert.equal(first.status, 1, describe(first));
    assert.match(first.text, /to vmid 300: .* came for it before/);
    assert.equal(changes(bed).length, 1);
    // 3. Each to the next free vmid.
    const both = await bed.restore(told.id, "newid=next");
    assert.equal(both.status, 0, describe(both));
    assert.equal(Object.keys(bed.node.state().guests).length, 5);
    assertClean(bed);
  },
});

Deno.test({
  name: "plakar restores snapshots of the tree layout, with the pool that stands beside the archive",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed(TWO);
    const before = digests(bed);
    const { id } = await bed.backup("all=true", "layout=tree");

    await t.step("1. the whole snapshot onto an empty node", async () => {
      for (const vmid of [101, 105]) bed.node.destroyGuest(vmid);
      const said = await bed.restore(id);
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.deepEqual(digests(bed), before);
      assert.deepEqual(poolOf(bed, 101), "prod");
      assert.deepEqual(poolOf(bed, 105), undefined);
    });

    await t.step("2. one guest's directory", async () => {
      bed.node.destroyGuest(101);
      const said = await bed.restore(`${id}:/backup/qemu/101_web`);
      assert.equal(said.status, 0, describe(said));
      assert.deepEqual(digests(bed), before);
      assert.deepEqual(poolOf(bed, 101), "prod");
      assertClean(bed);
    });
  },
});

Deno.test({
  name: "plakar restores a snapshot that the Go integration for Proxmox made",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed(TWO);
    const before = digests(bed);
    // 1. Its layout, by hand: compressed archives in directories of their own, sidecars sorting behind them.
    const { id } = await bed.backup("all=true", "backup_compression=zstd");
    for (const [dir, vmid, pool] of [["qemu/101_web", 101, "prod"], ["lxc/105_mail", 105, ""]] as const) {
      const folder = `${bed.dir}/tree/backup/${dir}`;
      await Deno.mkdir(folder, { recursive: true });
      const archive = await archivePath(bed, id, vmid);
      await Deno.writeFile(`${folder}${archive}`, await bed.cat(`${id}:${archive}`));
      await Deno.writeTextFile(`${folder}${archive}_${dir.slice(0, dir.indexOf("/"))}.conf`, "name: web\n");
      if (pool) await Deno.writeTextFile(`${folder}${archive}_pool.conf`, pool);
    }
    const stored = await bed.at("backup", `${bed.dir}/tree`);
    assert.equal(stored.status, 0, describe(stored));
    const [foreign] = await bed.snapshots();
    // 2. Onto an empty node.
    for (const vmid of [101, 105]) bed.node.destroyGuest(vmid);
    const said = await bed.restore(`${foreign}:${bed.dir}/tree`);
    assert.equal(said.status, 0, describe(said));
    assert.deepEqual(digests(bed), before);
    assert.equal(poolOf(bed, 101), "prod");
    assert.equal(poolOf(bed, 105), undefined);
    assertClean(bed);
  },
});

Deno.test({
  name:
    "plakar restore exits 1 and touches no guest when an archive is damaged or its data is lost in the store",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed(TWO);
    const { id } = await bed.backup("all=true");
    const archive = await archivePath(bed, id, 101);
    const before = digests(bed);

    await t.step("1. an archive that was cut before it was stored", async () => {
      const bytes = await bed.cat(`${id}:${archive}`);
      await Deno.mkdir(`${bed.dir}/cut`);
      await Deno.writeFile(`${bed.dir}/cut${archive}`, bytes.subarray(0, bytes.byteLength - 70_000));
      const stored = await bed.at("backup", `${bed.dir}/cut`);
      assert.equal(stored.status, 0, describe(stored));
      const [cut] = await bed.snapshots();
      const said = await bed.restore(`${cut}:${bed.dir}/cut`);
      assert.equal(said.status, 1, describe(said));
      assert.match(said.text, /Cannot restore "vzdump-qemu-101-.*nothing was changed/);
    });

    await t.step("2. a snapshot without any archive", async () => {
      await Deno.mkdir(`${bed.dir}/notes`);
      await Deno.writeTextFile(`${bed.dir}/notes/notes.txt`, "no archive");
      assert.equal((await bed.at("backup", `${bed.dir}/notes`)).status, 0);
      const [notes] = await bed.snapshots();
      const said = await bed.restore(`${notes}:${bed.dir}/notes`);
      assert.equal(said.status, 1, describe(said));
      assert.match(said.text, /Nothing was restored: no archive came/);
    });

    await t.step("3. a whole archive of another size than its report tells", async () => {
      const other = await archivePath(bed, id, 105);
      const bytes = await bed.cat(`${id}:${other}`);
      await Deno.mkdir(`${bed.dir}/longer`);
      await Deno.writeFile(`${bed.dir}/longer/report.json`, await bed.cat(`${id}:/report.json`));
      await Deno.writeFile(`${bed.dir}/longer${other}`, new Blob([bytes, new Uint8Array(10_240)]).stream());
      assert.equal((await bed.at("backup", `${bed.dir}/longer`)).status, 0);
      const [longer] = await bed.snapshots();
      const said = await bed.restore(`${longer}:${bed.dir}/longer`);
      assert.equal(said.status, 1, describe(said));
      const sizes = `Archive has ${bytes.byteLength + 10_240} bytes, but ${bytes.byteLength} were recorded`;
      assert.ok(said.text.includes(sizes), describe(said));
    });

    await t.step("4. a store that lost data", async () => {
      damageStore(`${bed.dir}/store/packfiles`);
      assert.notEqual((await bed.at("check", id)).status, 0);
      const said = await bed.restore(`${id}:${archive}`);
      assert.equal(said.status, 1, describe(said));
      assert.match(said.stderr, /its end mark did not come; nothing was changed/);
    });

    await t.step("5. the guests were never touched", () => {
      assert.deepEqual(changes(bed), []);
      assert.deepEqual(digests(bed), before);
      assert.equal(bed.node.guest(101)?.status, "running");
      assertClean(bed);
    });
  },
});

/** Path of a guest's archive in a snapshot. */
async function archivePath(bed: Bed, snapshot: string, vmid: number): Promise<string> {
  const found = (await bed.files(snapshot)).find((path) => path.includes(`-${vmid}-`));
  if (found === undefined) throw new Error(`the snapshot has no archive of ${vmid}`);
  return found;
}

/** What the guests of the bed hold; nothing for one that is not there. */
function digests(bed: Bed): (string | undefined)[] {
  return ([[101, "scsi0"], [105, "rootfs"]] as const).map(([vmid, key]) =>
    bed.node.guest(vmid) && bed.node.sha256(vmid, key)
  );
}

function overwriteDisk(bed: Bed, vmid: number): void {
  const { path } = bed.node.volume(vmid, "scsi0");
  using file = Deno.openSync(path as string, { write: true });
  file.writeSync(new TextEncoder().encode("written after the backup"));
}

function poolOf(bed: Bed, vmid: number): string | undefined {
  return bed.node.guest(vmid)?.pool ?? undefined;
}

/** Overwrites the middle of the largest file below `folder`. */
function damageStore(folder: string): void {
  const files = filesBelow(folder).map((path) => ({ path, size: Deno.statSync(path).size }));
  const largest = files.toSorted((a, b) => b.size - a.size)[0];
  if (!largest) throw new Error(`no file below "${folder}"`);
  using file = Deno.openSync(largest.path, { write: true });
  file.seekSync(Math.floor(largest.size / 3), Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(Math.floor(largest.size / 3)));
}

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  );
}

function assertClean(bed: Bed): void {
  assert.equal(untidiness(bed), undefined);
}
