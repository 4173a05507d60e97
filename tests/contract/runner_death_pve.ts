import assert from "node:assert/strict";
import { SimNode } from "../pve/mod.ts";
import type { Faults } from "../pve/mod.ts";
import { fileText, pause, until } from "./runner_helpers.ts";

const VM = 101;
const CT = 105;

interface Case {
  what: string;
  vmid: number;
  faults: Faults;
  /** Something else holds the node's vzdump lock when the program is killed. */
  locked?: boolean;
  cancel?: "before-death" | "with-death";
  /** The dump must have come so far: a line of its log. */
  when: RegExp;
}

// Cleanups outlast the grace of one second.
const CLEANUP = { cleanupSeconds: 3 };
const WRITING = { ...CLEANUP, bytesPerSecond: 2_000_000 };
const HANGING = { ...CLEANUP, hangAfterBytes: 0 };
const FAILING = { ...CLEANUP, failAfterBytes: 100_000 };
const SENDING = /sending archive to stdout/;

const CASES: Case[] = [VM, CT].flatMap((vmid) => {
  const label = vmid === VM ? "VM" : "CT";
  return [
    { what: `writes a ${label}`, vmid, faults: WRITING, when: SENDING },
    { what: `waits before the first byte of a ${label}`, vmid, faults: HANGING, when: SENDING },
    { what: `waits for the lock to dump a ${label}`, vmid, faults: CLEANUP, locked: true, when: /waiting/ },
    {
      what: `writes a ${label} and was cancelled`,
      vmid,
      faults: WRITING,
      cancel: "before-death",
      when: SENDING,
    },
    {
      what: `writes a ${label} and is cancelled as we die`,
      vmid,
      faults: WRITING,
      cancel: "with-death",
      when: SENDING,
    },
  ] as Case[];
});
CASES.push(
  { what: "cleans up after its own error", vmid: VM, faults: FAILING, when: /^ERROR: /m },
  {
    what: "is cancelled in its cleanup",
    vmid: VM,
    faults: FAILING,
    when: /^ERROR: /m,
    cancel: "before-death",
  },
);

/** Registers the tests of what a dump leaves behind when the process that runs it, `program`, is killed. */
export function pveDeathContract(name: string, program: URL): void {
  for (const test of CASES) {
    Deno.test(`${name} runner's death leaves no lock and no process when vzdump ${test.what}`, () => {
      return play(program, test);
    });
  }
}

async function play(program: URL, { vmid, faults, locked, cancel, when }: Case): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "runner-death-" });
  await using node = await SimNode.create({
    guests: [
      { vmid: VM, disks: [{ key: "scsi0", size: "64M", synthetic: true }] },
      { vmid: CT, kind: "lxc", disks: [{ key: "rootfs", size: "64M", synthetic: true }] },
    ],
  });
  node.fault(vmid, faults);
  try {
    await Deno.mkdir(`${dir}/logs`);
    const held = locked ? await holdVzdumpLock(node) : undefined;
    const command = [`${node.bin}/vzdump`, String(vmid), "--stdout", "1", "--dumpdir", node.dumpDir];
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", program.pathname, "read", dir, ...command],
      stdin: "piped",
      detached: true,
    }).spawn();
    const stdin = child.stdin.getWriter();
    const say = (word: string) => stdin.write(new TextEncoder().encode(`${word}\n`));
    await until(`the log says ${when}`, () => when.test(fileText(`${dir}/log`)));
    await pause(300);
    if (cancel === "before-death") {
      await say("stop");
      await pause(700);
    }
    if (cancel === "with-death") await say("die");
    else child.kill("SIGKILL");
    await child.status;
    await stdin.close().catch(() => {});
    await until("vzdump is gone", () => node.calls().every(({ ended }) => ended !== null), 20);
    assert.deepEqual(node.processes(), []);
    held?.close();
    assert.deepEqual(node.locks(), { guests: {}, vzdump: false });
    const left = (await Array.fromAsync(Deno.readDir(node.dumpDir))).map(({ name }) => name);
    assert.deepEqual(left.filter((name) => !name.endsWith(".log")), []);
  } finally {
    for (const { pid } of node.processes()) Deno.kill(-pid, "SIGKILL");
    await Deno.remove(dir, { recursive: true });
  }
}

async function holdVzdumpLock(node: SimNode): Promise<Deno.FsFile> {
  const file = await Deno.open(`${node.dir}/nodes/${node.name}/vzdump.lock`, { create: true, write: true });
  await file.lock(true);
  return file;
}
