/** Guests streamed by a relay over SSH into a free vmid: all of each or nothing of it, and nothing else on the node. */
import assert from "node:assert/strict";
import { eventually } from "../plakar/bed.ts";
import type { GuestSpec } from "../pve/mod.ts";
import { needsSsh } from "./bed.ts";
import { describe, MIB, Relay, type Running } from "./relay.ts";

const TRANSPORTS = ["builtin", "openssh"];

const VM: GuestSpec = {
  vmid: 101,
  name: "web",
  disks: [{ key: "scsi0", size: "24M" }, { key: "scsi1", size: 70144 }],
};
const CT: GuestSpec = {
  vmid: 105,
  kind: "lxc",
  name: "mail",
  disks: [{ key: "rootfs", size: "1G" }],
};

/** A relay whose guests have been backed up; a container with a file larger than what lies in pipes and buffers. */
async function backedUp(guests: GuestSpec[], compression = "0"): Promise<Relay> {
  const relay = await Relay.create({ guests });
  if (guests.includes(CT)) {
    const large = new Uint8Array(24 * MIB).map((_, index) => index * 7919 >> 8);
    await Deno.writeFile(`${relay.bed.sim.volume(CT.vmid, "rootfs").path}/large`, large);
  }
  const said = await relay.backup("--all", "--backup-compression", compression);
  assert.equal(said.status, 0, describe(said));
  return relay;
}

/** Starts to stream `from` a file, or the store. */
function stream(
  relay: Relay,
  args: string[],
  { transport = "builtin", from = relay.store } = {},
): Running {
  const how = ["--restore-method", "stream", "--ssh-transport", transport, "--report", reportOf(relay)];
  return relay.start(["restore", "--from", from, ...how, ...args]);
}

const reportOf = (relay: Relay) => `${relay.bed.dir}/relay/restored.json`;

/** What the report of the last restore says of its only guest. */
// deno-lint-ignore no-explicit-any -- a test looks at what it expects
const reported = (relay: Relay): any => JSON.parse(Deno.readTextFileSync(reportOf(relay))).guests[0];

const volumesOf = ({ bed }: Relay, vmid: number) =>
  Object.values(bed.sim.state().volumes).filter((volume) => volume.vmid === vmid);

const toolCalls = ({ bed }: Relay) =>
  bed.sim.calls().filter(({ tool, argv }) => tool === "qmrestore" || argv[0] === "restore");

/** Nothing stands under the vmid, and nothing of any run is left. */
async function assertGone(relay: Relay, vmid: number): Promise<void> {
  await relay.tidy();
  assert.deepEqual([relay.bed.sim.guest(vmid), volumesOf(relay, vmid)], [undefined, []]);
}

for (const compression of ["0", "zstd"]) {
  Deno.test({
    name:
      `a VM and a container (--backup-compression ${compression}) are streamed over SSH, and nothing is staged`,
    ...needsSsh("zstd"),
    fn: async (t) => {
      await using relay = await backedUp([VM, CT], compression);
      const digests = (offset: number) =>
        [VM, CT].flatMap(({ vmid, disks = [] }) =>
          disks.map(({ key }) => relay.bed.sim.sha256(vmid + offset, key))
        );
      for (const [index, transport] of TRANSPORTS.entries()) {
        await t.step(transport, async () => {
          const offset = 800 + 100 * index;
          const running = stream(relay, ["--all", "--newid-offset", String(offset)], { transport });
          const [said, staged] = await Promise.all([running.finished, mostStaged(relay, running)]);
          assert.equal(said.status, 0, describe(said));
          assert.deepEqual(digests(offset), digests(0));
          assert.equal(staged, 0);
          assert.ok(toolCalls(relay).every(({ argv }) => argv.includes("-")));
          await relay.tidy();
        });
      }
    },
  });
}

/** Bytes of archives that stood on the node at most. */
async function mostStaged(relay: Relay, { finished }: Running): Promise<number> {
  let isOver = false;
  let most = 0;
  finished.finally(() => isOver = true);
  while (!isOver) {
    most = Math.max(most, relay.staged);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return most;
}

/** Damage at the very end of an archive: when it shows, the tool has all but the word that its input is whole. */
interface Damage {
  what: string;
  guest: GuestSpec;
  compression: string;
  change: (path: string) => void;
  /** Taken out of the store: nobody knows what it should be. */
  isPlain?: true;
  says: RegExp;
}

const DAMAGE: Damage[] = [
  {
    what: "the last byte of a VM was changed in the store",
    guest: VM,
    compression: "0",
    change: changeLastByte,
    says: /has sha256 \w+, but \w+ was recorded at the backup/,
  },
  {
    what: "a compressed file of a VM lacks its last byte",
    guest: VM,
    compression: "zstd",
    change: (path) => cut(path, 1),
    isPlain: true,
    says: /cut/,
  },
  {
    what: "a plain file of a container lacks its last block",
    guest: CT,
    compression: "0",
    change: (path) => cut(path, 10240),
    isPlain: true,
    says: /cut/,
  },
];

for (const { what, guest, compression, change, isPlain, says } of DAMAGE) {
  Deno.test({
    name: `a stream over SSH is given up, and what it made is removed, when ${what}`,
    ...needsSsh("zstd"),
    fn: async () => {
      await using relay = await backedUp([guest], compression);
      const name = relay.files.find((entry) => entry.startsWith("vzdump-"));
      const stored = `${relay.snapshot}/${name}`;
      change(stored);
      const plain = `${relay.bed.dir}/relay/${name}`;
      if (isPlain) await Deno.rename(stored, plain);
      const said = await stream(relay, ["--all", "--newid", "900"], isPlain ? { from: plain } : {}).finished;
      assert.equal(said.status, 5, describe(said));
      const [line = ""] = said.stderr.split("\n").filter((line) => line.startsWith("Cannot restore"));
      assert.match(line, says);
      assert.match(line, /^Cannot restore (VM|CT) 900: .*; (nothing was left behind|.* was removed)$/);
      assert.deepEqual(toolCalls(relay).map(({ exit }) => exit), [255], "the tool was told that it has all");
      const { target, outcome, damaged, error } = reported(relay);
      assert.deepEqual({ target, outcome, damaged, error }, {
        target: 900,
        outcome: "failed",
        damaged: true,
        error: line,
      });
      await assertGone(relay, 900);
    },
  });
}

function changeLastByte(path: string): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const last = new Uint8Array(1);
  file.seekSync(-1, Deno.SeekMode.End);
  file.readSync(last);
  file.seekSync(-1, Deno.SeekMode.End);
  file.writeSync(last.map((byte) => byte ^ 1));
}

function cut(path: string, bytes: number): void {
  Deno.truncateSync(path, Deno.statSync(path).size - bytes);
}

const LONG: GuestSpec[] = [
  { ...VM, disks: [{ key: "scsi0", size: "64M" }] },
  { ...CT, disks: [{ key: "rootfs", size: "64M", synthetic: true }] },
];

for (const transport of TRANSPORTS) {
  Deno.test({
    name: `a stream over SSH that ends in the middle leaves nothing on the node (${transport})`,
    ...needsSsh(),
    fn: async (t) => {
      await using relay = await backedUp(LONG);
      await using proxy = await relay.proxyBefore("pve1");
      proxy.faults = { bytesPerSecond: 4 * MIB };
      const lost =
        /^Cannot restore (VM|CT) 90\d: .*ost the connection .*; node "pve1" itself ends the tool and removes what/m;
      const ends: [what: string, end: (running: Running) => void, status: number, says: RegExp][] = [
        ["the connection is closed", () => proxy.cutNow("fin"), 1, lost],
        ["the connection is reset", () => proxy.cutNow("rst"), 1, lost],
        [
          "Ctrl-C on the relay",
          ({ child }) => child.kill("SIGINT"),
          130,
          /^Cannot restore (VM|CT) 90\d: Interrupted/m,
        ],
        ["SIGKILL on the relay", ({ child }) => child.kill("SIGKILL"), 137, /^/],
      ];
      for (const [index, [what, end, status, says]] of ends.entries()) {
        const { vmid, kind = "qemu" } = LONG[(index + TRANSPORTS.indexOf(transport)) % 2]!;
        await t.step(`${what} (${kind})`, async () => {
          const target = 900 + index;
          const running = stream(relay, ["--vmid", String(vmid), "--newid", String(target)], { transport });
          await eventually("the guest is half there", () => volumesOf(relay, target).length > 0);
          end(running);
          const said = await running.finished;
          assert.equal(said.status, status, describe(said));
          assert.match(said.stderr, says);
          assert.equal(reported(relay).outcome, "failed");
          await assertGone(relay, target);
          assert.equal(toolCalls(relay).at(-1)?.exit, 255);
        });
      }
    },
  });
}

for (const transport of TRANSPORTS) {
  Deno.test({
    name: `a stream over SSH is lost sight of behind its end: the guest is whole and stays (${transport})`,
    ...needsSsh(),
    fn: async () => {
      await using relay = await backedUp([VM]);
      await using proxy = await relay.proxyBefore("pve1");
      const { sim } = relay.bed;
      const letGo = holdAtEnd(relay);
      const running = stream(relay, ["--all", "--newid", "900"], { transport });
      await eventually("the tool has done its work", () => toolCalls(relay).at(-1)?.exit === 0);
      proxy.cutNow("fin");
      const said = await running.finished;
      assert.equal(said.status, 1, describe(said));
      assert.match(said.stderr, /^Cannot .* VM 900.*: .*lost the connection .*: look /m);
      assert.equal(reported(relay).outcome, "failed");
      letGo();
      await relay.tidy();
      assert.deepEqual(relay.changes.map((line) => line.split(" ")[0]), ["qmrestore"]);
      for (const key of ["scsi0", "scsi1"]) assert.equal(sim.sha256(900, key), sim.sha256(101, key));
    },
  });
}

/** Keeps qmrestore from ending once it has done its work, until the answer is called. */
function holdAtEnd({ bed }: Relay): () => void {
  const tool = `${bed.sim.bin}/qmrestore`;
  const hold = `${bed.dir}/hold`;
  Deno.renameSync(tool, `${tool}.real`);
  const script =
    `#!/bin/sh\n"$0.real" "$@"; status=$?\nwhile [ -e ${hold} ]; do sleep 0.1; done; exit $status\n`;
  Deno.writeTextFileSync(tool, script, { mode: 0o755 });
  Deno.writeTextFileSync(hold, "");
  return () => Deno.removeSync(hold);
}
