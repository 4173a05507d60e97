import assert from "node:assert/strict";
import { parseArchiveName } from "../../../src/archive/names.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import type { StorageMap } from "../../../src/core/storage_map.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type { RestoreSettings } from "../../../src/restore/plan.ts";
import { restore } from "../../../src/restore/restore.ts";
import { readWishes, survey } from "../../../src/restore/survey.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import { decoderTools } from "../../../src/setup/decoders.ts";
import { type GuestSpec, SimNode } from "../../pve/mod.ts";
import { names, run } from "../../pve/test_tools.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";
import { SETTINGS } from "./surroundings.ts";

const STORAGES = ["fast", "big", "slow"].map((id) => ({ id, type: "dir", content: "images,rootdir" }));

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  status: "stopped",
  disks: [
    { key: "scsi0", size: "4M", storage: "fast" },
    { key: "scsi1", size: 70144, storage: "fast" },
    { key: "efidisk0", size: 540672, storage: "fast" },
    { key: "tpmstate0", size: "1M", storage: "fast", options: "version=v2.0" },
    { key: "scsi2", size: "1M", storage: "fast", options: "backup=0" },
  ],
  firewall: "[OPTIONS]\nenable: 1\n",
  config: { bios: "ovmf", ide2: "fast:vm-101-cloudinit,media=cdrom" },
};

const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  status: "stopped",
  disks: [
    { key: "rootfs", size: "1G", storage: "fast", options: "acl=1" },
    { key: "mp0", size: "512M", storage: "fast", options: "mp=/data,backup=1,mountoptions=noatime" },
    { key: "mp1", size: "1G", storage: "slow", options: "mp=/cache" },
  ],
  config: { mp2: "/srv/host,mp=/host,ro=1", mp3: "/dev/sdb1,mp=/disk,backup=1" },
};

interface Given {
  guest: GuestSpec;
  storage: StorageMap;
  compress?: string;
  settings?: Partial<RestoreSettings>;
  newid?: number;
  /** Between the backup and the restore. */
  meanwhile?: (sim: SimNode) => void;
}

/** Dumps the guest with the simulated node's own vzdump and restores it with a storage map. */
async function restored({ guest, storage, compress = "0", settings, newid, meanwhile }: Given) {
  const sim = await SimNode.create({ storages: STORAGES, guests: [guest] });
  try {
    const source = `${sim.dir}/source`;
    await Deno.mkdir(source, { mode: 0o711 });
    const dumped = await run(sim, "vzdump", [guest.vmid, "--dumpdir", source, "--compress", compress]);
    assert.equal(dumped.code, 0, dumped.stderr);
    const name = names(source).find((entry) => parseArchiveName(entry)) ?? "";
    const path = `${source}/${name}`;
    const { size: bytes } = await Deno.stat(path);
    const archive: StoredArchive = { name, kind: guest.kind ?? "qemu", vmid: guest.vmid, bytes };
    meanwhile?.(sim);

    const machine = new LocalRunner();
    const nodes = await simNodes(sim);
    const from = { source: { open: () => machine.files.open(path) }, decoder: decoderTools(machine) };
    const wishes = await readWishes(nodes.entry, [archive], newid, from);
    const asked = { ...SETTINGS, ifExists: "replace", storage, ...settings } as const;
    const plans = planRestores(wishes, await survey(nodes, wishes, asked), asked);
    const report = await restore(plans, {
      nodes,
      ...from,
      runId: "0123",
      dumpDir: sim.dumpDir,
      cleanup: true,
      shutdownTimeout: 5,
      now: () => new Date(0),
      listen: () => {},
      stop: new AbortController().signal,
      save: () => Promise.resolve(),
    });
    assert.deepEqual(await namesIn(sim.dumpDir), [], "something was left in dump_dir");
    const tool = sim.calls().find(({ tool, argv }) => tool === "qmrestore" || argv[0] === "restore");
    return { sim, plans, entry: report.guests[0]!, argv: tool?.argv ?? [] };
  } catch (error) {
    await sim.dispose();
    throw error;
  }
}

const storageOf = (sim: SimNode, vmid: number, key: string) => sim.guest(vmid)?.entries[key]?.split(":")[0];

for (const compress of ["0", "gzip", "lzo", "zstd"]) {
  Deno.test(`restore() puts each disk of a VM on its own storage, from --compress ${compress}`, async () => {
    const disks = { scsi0: "big", tpmstate0: "slow", ide2: "slow" };
    const settings = { unique: "false" } as const;
    const { sim, entry, argv } = await restored({
      guest: VM,
      storage: { disks },
      settings,
      compress,
      newid: 201,
    });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
    const keys = ["scsi0", "scsi1", "efidisk0", "tpmstate0", "ide2"];
    assert.deepEqual(keys.map((key) => storageOf(sim, 201, key)), ["big", "fast", "fast", "slow", "slow"]);
    for (const key of keys.slice(0, -1)) assert.equal(sim.sha256(201, key), sim.sha256(101, key), key);
    assert.match(argv[0] ?? "", /\.vma$/, "the tool decompresses by the name");
    assert.ok(!argv.includes("--storage"), argv.join(" "));
    const [before, after] = [sim.guest(101), sim.guest(201)];
    assert.equal(after?.firewall, before?.firewall);
    assert.match(after?.entries.tpmstate0 ?? "", /version=v2\.0/);
    assert.match(after?.config ?? "", /^#scsi2: .*backup=0/m);
    assert.doesNotMatch(after?.config ?? "", /qmdump/);
    for (const key of ["name", "smbios1", "bios"]) assert.equal(after?.entries[key], before?.entries[key]);
  });
}

Deno.test("restore() replaces a VM by itself on other storages", async () => {
  const storage = { others: "big", disks: { efidisk0: "slow" } };
  const digests = new Map<string, string>();
  const { sim, entry } = await restored({
    guest: { ...VM, status: "running" },
    storage,
    meanwhile: (node) => {
      for (const key of ["scsi0", "scsi1", "efidisk0"]) digests.set(key, node.sha256(101, key));
    },
  });
  await using _ = sim;
  assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  assert.deepEqual(["scsi0", "scsi1", "efidisk0", "ide2"].map((key) => storageOf(sim, 101, key)), [
    "big",
    "big",
    "slow",
    "big",
  ]);
  for (const [key, digest] of digests) assert.equal(sim.sha256(101, key), digest, key);
  assert.equal(sim.guest(101)?.status, "running");
});

Deno.test("restore() makes a template again on the map's storages", async () => {
  const guest = { vmid: 101, template: true, disks: [{ key: "scsi0", size: "1M", storage: "fast" }] };
  const { sim, entry } = await restored({ guest, storage: { disks: { scsi0: "big" } }, newid: 201 });
  await using _ = sim;
  assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  assert.equal(sim.guest(201)?.entries.template, "1");
  assert.equal(storageOf(sim, 201, "scsi0"), "big");
});

Deno.test("restore() changes nothing when the map does not fit the archive", async () => {
  const { sim, entry, argv } = await restored({ guest: VM, storage: { disks: { scsi9: "big" } } });
  await using _ = sim;
  assert.equal(entry.outcome, "refused");
  assert.match(entry.error ?? "", /no disk "scsi9".*; there are scsi0, scsi1, efidisk0, tpmstate0, ide2$/);
  assert.deepEqual(argv, []);
});

const CT_MAP = { disks: { rootfs: "big", mp0: "slow" } };

for (const compress of ["0", "zstd"]) {
  Deno.test(`restore() puts each volume of a container on its own storage, from --compress ${compress}`, async () => {
    const { sim, entry } = await restored({ guest: CT, storage: CT_MAP, compress, newid: 205 });
    await using _ = sim;
    assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
    const { entries = {} } = sim.guest(205) ?? {};
    assert.match(entries.rootfs ?? "", /^big:[^,]+,acl=1,size=1G$/);
    assert.match(entries.mp0 ?? "", /^slow:[^,]+,mp=\/data,backup=1,mountoptions=noatime,size=1G$/);
    assert.match(entries.mp1 ?? "", /^slow:[^,]+,mp=\/cache,size=1G$/);
    assert.equal(entries.mp2, CT.config?.mp2);
    assert.equal(entries.mp3, CT.config?.mp3);
    assert.deepEqual([entries.unprivileged, entries.hostname], ["1", "mail"]);
    assert.equal(sim.sha256(205, "mp0"), sim.sha256(105, "mp0"));
    const [program, restoredProgram] = [105, 205].map((vmid) =>
      Deno.readFileSync(`${sim.volume(vmid, "rootfs").path}/usr/bin/app`)
    );
    assert.deepEqual(restoredProgram, program);
  });
}

Deno.test("restore() replaces a container on other storages and starts it with its mounts from the host", async () => {
  const { sim, entry, argv } = await restored({
    guest: { ...CT, status: "running", unprivileged: false },
    storage: CT_MAP,
    settings: { destroyExcluded: true },
  });
  await using _ = sim;
  assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  assert.deepEqual([argv.includes("--force"), argv.includes("--storage")], [true, false]);
  const { status, entries = {} } = sim.guest(105) ?? {};
  assert.deepEqual([status, entries.mp2, entries.unprivileged], ["running", CT.config?.mp2, undefined]);
  const order = sim.calls().filter(({ tool }) => tool === "pct").map(({ argv: [command] }) => command);
  assert.ok(order.indexOf("set") < order.indexOf("start"), order.join(" "));
});

Deno.test("restore() keeps a container's template flag on the map's storages", async () => {
  const { sim, entry } = await restored({ guest: { ...CT, template: true }, storage: CT_MAP, newid: 205 });
  await using _ = sim;
  assert.deepEqual([entry.outcome, entry.error], ["good", undefined]);
  assert.equal(sim.guest(205)?.entries.template, "1");
});

Deno.test("restore() does not start a container that its mounts from the host could not be given to", async () => {
  const { sim, entry } = await restored({
    guest: { ...CT, status: "running" },
    storage: CT_MAP,
    settings: { destroyExcluded: true },
    meanwhile: (node) => {
      // A tool in front of the node's own that fails at `set` alone.
      const path = `${node.bin}/pct`;
      Deno.renameSync(path, `${path}.real`);
      const script =
        `#!/bin/sh\n[ "$1" = set ] && { echo "no such device" >&2; exit 2; }\nexec "$0.real" "$@"\n`;
      Deno.writeTextFileSync(path, script, { mode: 0o755 });
    },
  });
  await using _ = sim;
  assert.equal(entry.outcome, "not-running");
  assert.match(
    entry.error ?? "",
    /^CT 105 is restored, but without mp2, mp3, and not started: Cannot add host mounts to CT 105: .*no such device/,
  );
  assert.equal(sim.guest(105)?.status, "stopped");
  assert.equal(storageOf(sim, 105, "rootfs"), "big");
});
