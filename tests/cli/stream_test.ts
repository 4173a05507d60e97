// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import type { GuestSpec, SimOptions } from "../pve/mod.ts";
import { type Bed, makeBed } from "./harness.ts";

// Larger than what pipes hold, so that a tool that hangs holds the stream up.
const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  status: "stopped",
  disks: [{ key: "scsi0", size: "24M" }, { key: "scsi1", size: "3M" }],
};
const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  status: "stopped",
  disks: [{ key: "rootfs", size: "24M", synthetic: true }],
};
const STREAM = ["--restore-method", "stream"];

async function makeBackedUpBed(guests: GuestSpec[], options: SimOptions = {}): Promise<Bed> {
  const storages = [{ id: "void", type: "dir", discard: true }];
  const bed = await makeBed({ guests, storages, ...options });
  const { status, stderr } = await bed.run([
    "backup",
    "--all",
    "--to",
    bed.store,
    "--backup-compression",
    "0",
  ]);
  assert.equal(status, 0, stderr);
  return bed;
}

async function eventually(what: string, condition: () => boolean, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const volumesOf = (bed: Bed, vmid: number) =>
  Object.values(bed.node.state().volumes).filter((volume) => volume.vmid === vmid);

/** Starts to stream a guest under vmid 900 by a tool that hangs half-way. */
async function startHanging(bed: Bed, vmid: number) {
  bed.node.fault(900, { restoreHangs: "after-destroy" });
  const args = [
    "restore",
    "--from",
    bed.store,
    "--vmid",
    String(vmid),
    "--newid",
    "900",
    "--storage",
    "void",
  ];
  const running = await bed.start([...args, ...STREAM]);
  await eventually("the tool is at work", () => bed.node.processes().some((one) => one.vmid === 900));
  await eventually("it holds the vmid", () => bed.node.guest(900)?.lock === "create");
  await new Promise((resolve) => setTimeout(resolve, 500));
  return running;
}

Deno.test("restore --restore-method stream brings guests back without a file in the dump directory", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const before = bed.node.sha256(101, "scsi0");
  bed.node.destroyGuest(101);
  const { status, stderr } = await bed.run(["restore", "--from", bed.store, "--all", ...STREAM]);
  assert.equal(status, 0, stderr);
  assert.equal(bed.node.sha256(101, "scsi0"), before);
  assert.deepEqual(bed.leftovers(), []);
  const [call] = bed.node.calls().filter(({ tool }) => tool === "qmrestore");
  assert.equal(call?.argv[0], "-");
});

Deno.test("restore --restore-method stream replaces a guest only where --if-exists or --force is given too", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const args = ["restore", "--from", bed.store, "--all", ...STREAM];
  const refused = await bed.run(args);
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /^Cannot restore VM 101: it exists on node "pve1"; pass --force to replace it/,
  );
  const { status, stderr } = await bed.run([...args, "--if-exists", "replace-same"]);
  assert.equal(status, 0, stderr);
  assert.match(
    stderr,
    /STREAMED: what stands there is destroyed before the archive has been seen to its end/,
  );
});

Deno.test("restore --restore-method stream --dry-run says what a stream means, and changes nothing", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const args = ["restore", "--from", bed.store, "--all", ...STREAM, "--newid", "next", "--dry-run"];
  const { status, stdout } = await bed.run(args);
  assert.equal(status, 0);
  assert.match(stdout, /streamed, nothing is staged; removed again unless the archive proves whole/);
  assert.ok(!bed.node.calls().some(({ tool }) => tool === "qmrestore"));
});

for (const guest of [VM, CT]) {
  const { vmid, kind } = guest;
  Deno.test(`Ctrl-C ends a stream of a ${kind ?? "qemu"} guest, removes what it left and exits 130`, async () => {
    await using bed = await makeBackedUpBed([guest]);
    const { child, finished } = await startHanging(bed, vmid);
    child.kill("SIGINT");
    const { status, stderr } = await finished;
    assert.equal(status, 130, stderr);
    assert.deepEqual([bed.node.guest(900), volumesOf(bed, 900)], [undefined, []]);
    assert.deepEqual([bed.node.processes(), bed.leftovers()], [[], []]);
    assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
  });

  Deno.test(`SIGKILL during a stream of a ${kind ?? "qemu"} guest: the node ends the tool and removes what it left`, async () => {
    await using bed = await makeBackedUpBed([guest]);
    const { child, finished } = await startHanging(bed, vmid);
    child.kill("SIGKILL");
    await finished;
    await eventually("the directory is gone", () => bed.leftovers().length === 0);
    assert.deepEqual(bed.node.processes(), []);
    assert.deepEqual([bed.node.guest(900), volumesOf(bed, 900)], [undefined, []]);
    assert.deepEqual(bed.node.locks(), { guests: {}, vzdump: false });
    const state = `${bed.env.XDG_STATE_HOME}/plakar-proxmox`;
    const reports = [...Deno.readDirSync(`${state}`)].map(({ name }) => `${state}/${name}`);
    const texts = reports.filter((path) => path.endsWith(".json")).map((path) => Deno.readTextFileSync(path));
    assert.ok(texts.some((text) => /The restore of (VM|CT) 900 was cut off/.test(text)), reports.join(" "));
  });
}

Deno.test("an archive that was cut in the store is not restored by a stream, and exits 5", async () => {
  await using bed = await makeBackedUpBed([VM]);
  const { path, names } = bed.snapshot();
  const archive = `${path}/${names.find((name) => name.endsWith(".vma"))}`;
  Deno.truncateSync(archive, Deno.statSync(archive).size - 4096);
  const args = ["restore", "--from", archive, "--all", "--newid", "900", ...STREAM];
  const { status, stderr } = await bed.run(args);
  assert.equal(status, 5, stderr);
  assert.match(stderr, /Cannot restore VM 900: .*cut/);
  assert.deepEqual([bed.node.guest(900), volumesOf(bed, 900), bed.leftovers()], [undefined, [], []]);
});

Deno.test({
  name: "restore --restore-method auto streams where staging space is short, but never over a guest",
  ...needs("unshare"),
  async fn() {
    await using bed = await makeBackedUpBed([VM]);
    // A filesystem of 1 MiB beyond the reserve of 2 GiB, in a mount namespace that ends with the command.
    const restore = async (usable: number, ...flags: string[]) => {
      const script = `mount -t tmpfs -o size=${2048 + usable}m tmpfs "$0" && chmod 755 "$0" && exec "$@"`;
      const args = ["restore", "--from", bed.store, "--all", "--restore-method", "auto", ...flags];
      const argv = [bed.binary, ...args, "--dump-dir", bed.node.dumpDir];
      const { code, stderr } = await new Deno.Command("unshare", {
        args: ["-m", "sh", "-c", script, bed.node.dumpDir, ...argv],
        env: bed.env,
        stdin: "null",
      }).output();
      const call = bed.node.calls().filter(({ tool }) => tool === "qmrestore").at(-1);
      return { code, stderr: new TextDecoder().decode(stderr), archive: call?.argv[0] };
    };
    const short = await restore(1, "--newid", "901");
    assert.deepEqual([short.code, short.archive], [0, "-"], short.stderr);
    const roomy = await restore(100, "--newid", "902");
    assert.equal(roomy.code, 0, roomy.stderr);
    assert.match(roomy.archive ?? "", /\.vma$/);
    const over = await restore(1, "--force");
    assert.equal(over.code, 1);
    assert.match(over.stderr, /Cannot stage the archive in/);
    assert.equal(bed.node.guest(101)?.status, "stopped");
  },
});
