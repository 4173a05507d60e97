import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { describe, makeBed, untidiness } from "./bed.ts";

const STORAGES = ["fast", "big", "slow"].map((id) => ({ id, type: "dir", content: "images,rootdir" }));

Deno.test({
  name: "plakar restores each disk to the storage that the destination's storage map gives it",
  ...needs("go"),
  async fn() {
    const disks = [{ key: "scsi0", size: "8M", storage: "fast" }, {
      key: "scsi1",
      size: "1M",
      storage: "fast",
    }];
    const volumes = [
      { key: "rootfs", size: "1G", storage: "fast" },
      { key: "mp0", size: "1G", storage: "fast", options: "mp=/data,backup=1" },
    ];
    await using bed = await makeBed({
      storages: STORAGES,
      guests: [
        { vmid: 101, name: "web", disks },
        { vmid: 105, kind: "lxc", name: "mail", disks: volumes, config: { mp1: "/srv,mp=/srv" } },
      ],
    });
    const { id } = await bed.backup("all=true");
    const digest = bed.node.sha256(101, "scsi0");
    const places = () =>
      [[101, "scsi0"], [101, "scsi1"], [105, "rootfs"], [105, "mp0"]].map(([vmid, key]) =>
        bed.node.guest(Number(vmid))?.entries[String(key)]?.split(":")[0]
      );

    const refused = await bed.restore(id, "storage=scsi0=big,rootfs=big,scsi7=slow");
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /no disk "scsi7", which is to go to storage "slow"; there are scsi0, scsi1/);
    assert.deepEqual(places(), ["fast", "fast", "big", "fast"]);

    const said = await bed.restore(id, "storage=scsi0=big,rootfs=slow,mp0=big");
    assert.equal(said.status, 0, describe(said));
    assert.deepEqual(places(), ["big", "fast", "slow", "big"]);
    assert.equal(bed.node.sha256(101, "scsi0"), digest);
    assert.equal(bed.node.guest(105)?.entries.mp1, "/srv,mp=/srv");
    assert.deepEqual([101, 105].map((vmid) => bed.node.guest(vmid)?.status), ["running", "running"]);
    assert.equal(untidiness(bed), undefined);
  },
});

Deno.test({
  name: "plakar writes archives into files as they are, whatever the storage map says",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ storages: STORAGES, guests: [{ vmid: 101, name: "web" }] });
    const { id } = await bed.backup("all=true");
    const path = (await bed.files(id)).find((name) => name.endsWith(".vma"));
    const said = await bed.restore(id, "restore_to=files", "storage=scsi0=big");
    assert.equal(said.status, 0, describe(said));
    const written = await Deno.readFile(`${bed.node.dumpDir}/${path?.slice(path.lastIndexOf("/") + 1)}`);
    assert.deepEqual(written, new Uint8Array(await bed.cat(`${id}:${path}`)));
  },
});
