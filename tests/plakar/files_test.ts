import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { changes, describe, makeBed, untidiness } from "./bed.ts";

Deno.test({
  name:
    "plakar restores archives as plain files with restore_to=files, overwrites nothing and touches no guest",
  ...needs("go"),
  async fn(t) {
    await using bed = await makeBed({ guests: [{ vmid: 101, name: "web" }, { vmid: 105, kind: "lxc" }] });
    const { id } = await bed.backup("all=true", "backup_compression=zstd");
    const archives = (await bed.files(id)).filter((path) => path.startsWith("/vzdump-"));
    const dir = bed.node.dumpDir;

    await t.step("1. both archives stand in dump_dir as they were backed up, and nothing else", async () => {
      const said = await bed.restore(id, "restore_to=files");
      assert.equal(said.status, 0, describe(said));
      assert.equal(said.stderr, "");
      assert.deepEqual(bed.leftovers().sort(), archives.map((path) => path.slice(1)).sort());
      for (const path of archives) {
        assert.deepEqual(await Deno.readFile(`${dir}${path}`), await bed.cat(`${id}:${path}`));
        assert.equal((await Deno.stat(`${dir}${path}`)).mode! & 0o777, 0o600);
      }
    });

    await t.step("2. Proxmox's own tool restores one", async () => {
      const container = archives.find((path) => path.includes("-105-"));
      const { code, stderr } = await new Deno.Command(`${bed.node.bin}/pct`, {
        args: ["restore", "300", `${dir}${container}`, "--storage", "local-lvm"],
        stdin: "null",
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      assert.equal(bed.node.sha256(300, "rootfs"), bed.node.sha256(105, "rootfs"));
    });

    await t.step("3. a file of that name is left as it is, the other archive is written", async () => {
      const [taken, free] = archives as [string, string];
      await Deno.writeTextFile(`${dir}${taken}`, "mine");
      await Deno.remove(`${dir}${free}`);
      const said = await bed.restore(id, "restore_to=files");
      assert.equal(said.status, 1, describe(said));
      assert.match(said.text, /Cannot write ".*": it exists; files are never overwritten/);
      assert.equal(await Deno.readTextFile(`${dir}${taken}`), "mine");
      assert.ok((await Deno.stat(`${dir}${free}`)).size > 0);
      assert.equal(bed.leftovers().length, 2);
    });

    await t.step("4. no guest was touched", () => {
      assert.deepEqual(changes(bed).filter((line) => !line.startsWith("pct restore 300 ")), []);
    });
  },
});

Deno.test({
  name: "plakar restores no files to where Proxmox would prune them, unless they are to be protected",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({
      guests: [{ vmid: 101 }],
      storages: [{ id: "backups", content: "backup", prune: "keep-last=2" }],
    });
    const { id } = await bed.backup("vmid=101");
    const dir = `${bed.node.state().storages.backups?.path}/dump`;
    await Deno.mkdir(dir, { recursive: true });
    const names = () => [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    // 1. Refused.
    const refused = await bed.restore(id, "restore_to=files", `dump_dir=${dir}`);
    assert.equal(refused.status, 1, describe(refused));
    assert.match(refused.text, /storage "backups" prunes this directory; pass protected=true/);
    assert.deepEqual(names(), []);
    // 2. Protected.
    const said = await bed.restore(id, "restore_to=files", "protected=true", `dump_dir=${dir}`);
    assert.equal(said.status, 0, describe(said));
    const [archive, mark, ...others] = names();
    assert.match(archive ?? "", /^vzdump-qemu-101-.*\.vma$/);
    assert.deepEqual([mark, others], [`${archive}.protected`, []]);
    assert.deepEqual(changes(bed), []);
    assert.equal(untidiness(bed), undefined);
  },
});
