import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import type { GuestSpec } from "../pve/mod.ts";
import { type Bed, describe, eventually, makeBed, untidiness } from "./bed.ts";

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  status: "stopped",
  pool: "prod",
  disks: [{ key: "scsi0", size: "24M" }],
};
const CT: GuestSpec = { vmid: 105, kind: "lxc", name: "mail", status: "stopped" };

const isTidy = (bed: Bed) => untidiness(bed) === undefined && bed.leftovers().length === 0;
const toolCalls = (bed: Bed) =>
  bed.node.calls().filter(({ tool, argv }) => tool === "qmrestore" || argv[0] === "restore");

Deno.test({
  name: "plakar restore -o restore_method=stream feeds the tools and stages nothing",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [VM, CT], pools: ["prod"] });
    const { id } = await bed.backup("all=true", "layout=tree");
    const before = bed.node.sha256(101, "scsi0");
    bed.node.destroyGuest(101);
    bed.node.destroyGuest(105);
    const said = await bed.restore(id, "restore_method=stream");
    assert.equal(said.status, 0, describe(said));
    assert.equal(bed.node.sha256(101, "scsi0"), before);
    assert.equal(bed.node.guest(105)?.entries.unprivileged, "1");
    assert.deepEqual(toolCalls(bed).map(({ argv }) => argv.includes("-")), [true, true]);
    assert.equal(bed.node.guest(101)?.pool, "prod");
    // Of a guest's directory alone, the pool comes behind the stream.
    bed.node.destroyGuest(101);
    const alone = await bed.restore(`${id}:/backup/qemu/101_web`, "restore_method=stream");
    assert.equal(alone.status, 0, describe(alone));
    assert.match(alone.stderr, /Guest 101 was in pool "prod".*pvesh set \/pools\/prod --vms 101/);
    assert.ok(isTidy(bed), untidiness(bed));
  },
});

Deno.test({
  name: "plakar restore streams over a guest only where if_exists was given as well",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [VM], pools: ["prod"] });
    const { id } = await bed.backup("all=true");
    const refused = await bed.restore(id, "restore_method=stream");
    assert.equal(refused.status, 1, describe(refused));
    assert.match(refused.text + refused.stderr, /a stream destroys the guest that stands there/);
    assert.deepEqual(toolCalls(bed), []);
    const said = await bed.restore(id, "restore_method=stream", "if_exists=replace-same");
    assert.equal(said.status, 0, describe(said));
    assert.deepEqual(toolCalls(bed).map(({ argv }) => argv[0]), ["-"]);
    assert.ok(isTidy(bed), untidiness(bed));
  },
});

Deno.test({
  name: "plakar restore -o restore_method=auto stages where there is room",
  ...needs("go"),
  async fn() {
    await using bed = await makeBed({ guests: [VM], pools: ["prod"] });
    const { id } = await bed.backup("all=true");
    bed.node.destroyGuest(101);
    const said = await bed.restore(id, "restore_method=auto");
    assert.equal(said.status, 0, describe(said));
    assert.match(toolCalls(bed)[0]?.argv[0] ?? "", /\.vma$/);
    assert.ok(isTidy(bed), untidiness(bed));
  },
});

for (
  const [what, signal, whole] of [["Ctrl-C", "SIGINT", true], [
    "SIGKILL of plakar",
    "SIGKILL",
    false,
  ]] as const
) {
  Deno.test({
    name: `${what} during a stream: the half-restored guest goes, nothing stays`,
    ...needs("go"),
    async fn() {
      await using bed = await makeBed({ guests: [VM], pools: ["prod"] });
      const { id } = await bed.backup("all=true");
      bed.node.destroyGuest(101);
      bed.node.fault(101, { restoreHangs: "after-destroy" });
      const running = bed.start("at", bed.store, "restore", "-to", "@pve", "-o", "restore_method=stream", id);
      await eventually("the tool is at work", () => bed.node.guest(101)?.lock === "create");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (whole) running.signalGroup(signal);
      else Deno.kill(running.pid, signal);
      await running.finished;
      await eventually("the node is tidy", () => isTidy(bed));
      assert.equal(bed.node.guest(101), undefined);
    },
  });
}
