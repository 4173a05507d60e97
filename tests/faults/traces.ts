/** What a run must leave as it was: other people's files, guests, locks, processes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { Bed } from "../cli/harness.ts";
import type { SimNode } from "../pve/mod.ts";
import { diskLines } from "../pve/config.ts";
import { eventually, type GuestAfter } from "./case.ts";

/** Files of the user's, with names like those of ours and vzdump's. */
const DECOYS: Readonly<Record<string, string>> = {
  "vzdump-qemu-999-2025_01_31-12_00_00.vma.zst": "an archive of the user's own, and no good one",
  "vzdump-qemu-999-2025_01_31-12_00_00.log": "its log",
  "plakar-proxmox-archive/keep.part": "a file in a directory of the user's own",
};

/** Puts files of the user's into a directory, which is made when missing. */
export function plantDecoys(dir: string): void {
  for (const [name, text] of Object.entries(DECOYS)) {
    Deno.mkdirSync(dirname(`${dir}/${name}`), { recursive: true });
    Deno.writeTextFileSync(`${dir}/${name}`, text);
  }
}

/** Paths below a directory with the sha256 of each file. */
export function contentsOf(dir: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(path)) {
      const below = `${path}/${name}`;
      if (isDirectory) walk(below);
      found.set(below.slice(dir.length + 1), isDirectory ? "directory" : digestOf(below));
    }
  };
  walk(dir);
  return found;
}

function digestOf(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

/** Digests of all disks of a guest, by key; empty for none. */
export function disksOf(node: SimNode, vmid: number): Record<string, string> {
  const guest = node.guest(vmid);
  if (!guest) return {};
  const keys = diskLines(guest.kind, guest.config).map(({ key }) => key);
  return Object.fromEntries(keys.flatMap((key) => {
    try {
      return [[key, node.sha256(vmid, key)]];
    } catch {
      return []; // a line without a volume of the node's, such as a CD drive
    }
  }));
}

/** All guests of the node: state and disks. */
export type GuestsBefore = ReadonlyMap<number, { status: string; disks: Record<string, string> }>;

export function guestsOf(node: SimNode): GuestsBefore {
  return new Map(
    Object.values(node.state().guests).map(({ vmid, status }) => [
      vmid,
      { status, disks: disksOf(node, vmid) },
    ]),
  );
}

/** Fails unless each guest is as it was before, or as `expected` says. */
export function requireGuests(
  node: SimNode,
  before: GuestsBefore,
  expected: Record<number, GuestAfter> = {},
): void {
  for (const [vmid, { status, disks }] of before) {
    const wanted = expected[vmid] ?? {};
    const now = node.guest(vmid);
    assert.equal(now?.status ?? "gone", wanted.status ?? status, `state of guest ${vmid}`);
    assert.equal(now?.lock, wanted.lock, `lock of guest ${vmid}`);
    if (now && !wanted.changed) assert.deepEqual(disksOf(node, vmid), disks, `disks of guest ${vmid}`);
  }
  const strangers = [...Object.keys(node.state().guests)].filter((vmid) => !before.has(Number(vmid)));
  assert.deepEqual(strangers, [], "guests that nobody made");
}

/** Command lines of living processes that work for this bed. */
export function livingProcesses(bed: Bed): string[] {
  const mark = dirname(bed.node.dir);
  const found: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      if (line.includes(mark)) found.push(line.replaceAll("\0", " ").slice(0, 300));
    } catch {
      // Ended meanwhile.
    }
  }
  return found;
}

/** Fails unless nothing of the run lives on after some seconds, here or on the node. */
export async function requireSilence(bed: Bed): Promise<void> {
  let living: string[] = [];
  const isSilent = () => (living = livingProcesses(bed)).length === 0;
  await eventually("no process is left", isSilent, 20).catch((error) => {
    throw new Error(`${error.message}: ${living.join("\n")}`);
  });
  assert.equal(bed.node.locks().vzdump, false, "the node's vzdump lock is held");
}
