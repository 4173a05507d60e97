import assert from "node:assert/strict";
import { run } from "../../pve/test_tools.ts";
import { dumpAndRestore } from "./dumped.ts";

Deno.test("restore() tells how each disk that the archive lacks is attached again, and that works", async () => {
  await using done = await dumpAndRestore({
    guests: [{
      vmid: 101,
      name: "web",
      disks: [
        { key: "scsi0", size: "1M" },
        { key: "scsi1", size: "2M", options: "backup=0,discard=on" },
        { key: "virtio3", size: "1M", options: "backup=0" },
      ],
    }],
  });
  const { entry, sim, plan } = done;
  assert.deepEqual(plan.keeps.map(({ key }) => key).sort(), ["scsi1", "virtio3"]);
  assert.deepEqual(entry.kept?.find(({ key }) => key === "scsi1"), {
    key: "scsi1",
    volume: "local-lvm:vm-101-disk-1",
    command: "qm set 101 --scsi1 local-lvm:vm-101-disk-1,backup=0,discard=on,size=2M",
  });
  const commands = entry.kept?.map(({ command }) => command) ?? [];
  for (const command of commands) {
    assert.ok(
      done.notes.some((note) => note.startsWith("VM 101: ") && note.endsWith(`: ${command}`)),
      command,
    );
    const [tool = "", ...words] = command.split(" ");
    assert.equal((await run(sim, tool, words)).code, 0);
  }
  const { entries } = sim.guest(101)!;
  assert.match(entries.scsi1 ?? "", /^local-lvm:vm-101-disk-1,/);
  assert.deepEqual(Object.keys(entries).filter((key) => key.startsWith("unused")), []);
});

for (const kind of ["qemu", "lxc"] as const) {
  Deno.test(`restore() keeps notes, tags and pool of a ${kind} guest that it replaces`, async () => {
    await using done = await dumpAndRestore({
      guests: [{
        vmid: 101,
        kind,
        pool: "prod",
        tags: ["shop", "web"],
        config: { description: "asks for bob" },
      }],
      beforePlan: (sim) => sim.setConfig(101, { description: null, tags: null }),
    });
    const guest = done.sim.guest(101)!;
    assert.equal(done.entry.outcome, "good", done.entry.error);
    assert.deepEqual([guest.pool, guest.entries.tags, guest.entries.description], [
      "prod",
      "shop;web",
      "asks for bob",
    ]);
  });

  Deno.test(`restore() gives a ${kind} guest new MAC addresses beside its original`, async () => {
    await using done = await dumpAndRestore({ guests: [{ vmid: 101, kind }], rule: { offset: 1000 } });
    const [original, copy] = [101, 1101].map((vmid) => done.sim.guest(vmid)!.entries);
    assert.equal(done.entry.target, 1101);
    assert.notEqual(copy?.net0, original?.net0);
    if (kind === "qemu") assert.notEqual(copy?.smbios1, original?.smbios1);
  });
}
