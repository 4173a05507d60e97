import assert from "node:assert/strict";
import { bytesSource } from "../../../src/core/bytes.ts";
import type { StoredArchive } from "../../../src/core/sink.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type { PlannedRestore, RestoreSettings } from "../../../src/restore/plan.ts";
import { restore } from "../../../src/restore/restore.ts";
import { readWishes, survey } from "../../../src/restore/survey.ts";
import { SimNode, type SimOptions } from "../../pve/mod.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { simNodes } from "../proxmox/sim_nodes.ts";
import { namesIn } from "../store/temp_dir.ts";
import { reasonsOf, SETTINGS } from "./surroundings.ts";

const MIB = 1024 ** 2;

/** An archive of a VM with one disk that came from storage `fast`. */
function archiveOf(vmid: number): { archive: StoredArchive; bytes: Uint8Array } {
  const config = `name: vm${vmid}\nscsi0: fast:vm-${vmid}-disk-0,size=64K\n`;
  const bytes = buildVma({
    configs: [{ name: "qemu-server.conf", data: `${config}#qmdump#map:scsi0:drive-scsi0:fast:raw:\n` }],
    devices: [{ name: "drive-scsi0", size: 65536 }],
    extents: [{ entries: [{ device: 1, cluster: 0, mask: 0xffff }] }],
  });
  const name = `vzdump-qemu-${vmid}-2026_01_31-12_00_00.vma`;
  return { archive: { name, kind: "qemu", vmid, bytes: bytes.byteLength, taken: new Date(0) }, bytes };
}

interface Given {
  sim: SimOptions;
  vmids: number[];
  settings?: Partial<RestoreSettings>;
  /** Between the plan and the restore. */
  meanwhile?: (sim: SimNode) => void;
  look?: (sim: SimNode) => void;
}

/** Plans and carries out a restore of VMs into a simulated cluster that is entered by pve1. */
async function restored({ sim: options, vmids, settings, meanwhile, look }: Given) {
  await using sim = await SimNode.create({
    storages: [{ id: "fast", type: "zfspool" }],
    otherNodes: ["pve2"],
    ...options,
  });
  const nodes = await simNodes(sim);
  const archives = vmids.map(archiveOf);
  const from = {
    source: {
      open: ({ vmid }: StoredArchive) => {
        const found = archives.find(({ archive }) => archive.vmid === vmid);
        return Promise.resolve(bytesSource(found?.bytes ?? new Uint8Array()));
      },
    },
    decoder: () => Promise.reject(new Error("the test has no decoder")),
  };
  const wishes = await readWishes(nodes.entry, archives.map(({ archive }) => archive), undefined, from);
  const asked = { ...SETTINGS, ifExists: "replace", ...settings } as const;
  const plans: PlannedRestore[] = planRestores(wishes, await survey(nodes, wishes, asked), asked);
  meanwhile?.(sim);
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
  look?.(sim);
  const tools = sim.calls().filter(({ tool }) => tool === "qmrestore").map((
    { node, argv },
  ) => [node, argv[1]]);
  return { plans, report, tools };
}

const vm = (vmid: number, node: string) => ({
  vmid,
  node,
  name: `vm${vmid}`,
  disks: [{ key: "scsi0", size: "64K", storage: "fast" }],
});

Deno.test("restore() restores each guest on the node where it lives, and starts it there", async () => {
  const { report, tools } = await restored({
    sim: { guests: [vm(101, "pve1"), vm(102, "pve2")] },
    vmids: [101, 102],
    look: (sim) => {
      assert.deepEqual([101, 102].map((vmid) => [sim.guest(vmid)?.node, sim.guest(vmid)?.status]), [
        ["pve1", "running"],
        ["pve2", "running"],
      ]);
    },
  });
  assert.deepEqual(report.guests.map(({ node, outcome, error }) => [node, outcome, error]), [
    ["pve1", "good", undefined],
    ["pve2", "good", undefined],
  ]);
  assert.equal(report.node, "pve1");
  assert.deepEqual(tools, [["pve1", "101"], ["pve2", "102"]]);
});

Deno.test("restore() creates a guest on the node that is given, else on the entry node", async () => {
  for (const [node, expected] of [["pve2", "pve2"], [undefined, "pve1"]] as const) {
    const { tools, report } = await restored({ sim: {}, vmids: [101], settings: { node } });
    assert.equal(report.outcome, "good", report.guests[0]?.error);
    assert.deepEqual(tools, [[expected, "101"]]);
  }
});

Deno.test("restore() refuses a guest of a node that cannot be reached, and restores the others", async () => {
  const { plans, report, tools } = await restored({
    sim: { otherNodes: ["!pve2"], guests: [vm(101, "pve2")] },
    vmids: [101, 102],
  });
  assert.deepEqual(reasonsOf(plans[0] as PlannedRestore), [
    'it lives on node "pve2", which cannot be used: Cannot reach node "pve2": no route to host',
  ]);
  assert.deepEqual(report.guests.map(({ outcome }) => outcome), ["refused", "good"]);
  assert.deepEqual(tools, [["pve1", "102"]]);
});

Deno.test("restore() looks at the storages of the node that it restores on", async () => {
  const totals = { pve1: 640 * MIB, pve2: 0.03 * MIB };
  const { plans } = await restored({
    sim: { storages: [{ id: "fast", type: "zfspool", totals }], guests: [] },
    vmids: [101],
    settings: { node: "pve2" },
  });
  assert.deepEqual(plans[0]?.warnings, ['the disks have 64 KiB in all, storage "fast" has 30.7 KiB free']);
  const roomy = await restored({
    sim: { storages: [{ id: "fast", type: "zfspool", totals }], guests: [] },
    vmids: [101],
  });
  assert.deepEqual(roomy.plans[0]?.warnings, []);
});

Deno.test("restore() touches no guest that has moved to another node since the plan", async () => {
  const { report, tools } = await restored({
    sim: { guests: [vm(101, "pve2")] },
    vmids: [101],
    meanwhile: (sim) => sim.change((state) => state.guests[101]!.node = "pve1"),
  });
  assert.match(
    report.guests[0]?.error ?? "",
    /the guest has moved since the plan was made; nothing was changed/,
  );
  assert.deepEqual(tools, []);
});

Deno.test("restore() begins nothing where a node was lost after the plan", async () => {
  const lost = restored({
    sim: { guests: [vm(101, "pve1"), vm(102, "pve2")] },
    vmids: [102, 101],
    meanwhile: (sim) => sim.change((state) => state.nodes.pve2!.online = false),
  });
  await assert.rejects(lost, { kind: "unreachable", message: /"pve2": no route to host$/ });
});
