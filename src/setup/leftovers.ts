import { messageOf } from "../core/errors.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import { removeBackupLock } from "../proxmox/backup_lock.ts";
import { listGuests } from "../proxmox/cluster.ts";
import { leftGuests } from "../proxmox/left_guests.ts";
import { findWorkDirs, type FoundWorkDir, removeWorkDir } from "../proxmox/leftovers.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { findPartFiles, removePart, type UnfinishedDump, unfinishedDumps } from "../store/leftovers.ts";
import { readStore } from "../store/snapshot_reader.ts";
import { findTestGuests, removeTestGuest } from "./test_guests.ts";

/** Something that a dead run left behind, and how to make it go. */
export interface Leftover {
  kind: "directory" | "part" | "lock" | "guest";
  /** Absent for what is in a store. */
  node?: string;
  /** A path, or `VM 101`. */
  what: string;
  /** For people. */
  text: string;
  bytes?: number;
  /** Answers why it is still there, or nothing when it is gone. Rejects when that is not known. */
  remove(): Promise<string | undefined>;
}

/** Something that looks like it, and is not touched. */
export interface Staying {
  node?: string;
  what: string;
  reason: string;
}

export interface Leftovers {
  leftovers: Leftover[];
  staying: Staying[];
  /** Nodes that could not be looked at, and why. */
  unseen: { node: string; error: string }[];
}

export interface CleanupWish {
  dumpDir: string;
  store?: string | undefined;
  unlock: boolean;
  maxNodes: number;
  now: Date;
}

/** Finds what dead runs left on all nodes of the cluster and in a store. Changes nothing. */
export async function findLeftovers(nodes: Nodes, wish: CleanupWish): Promise<Leftovers> {
  const found: Leftovers = { leftovers: [], staying: [], unseen: [] };
  if (wish.store !== undefined) await addParts(found, wish.store, wish.now);
  const names = nodes.entry.nodes.filter(({ online }) => online).map(({ name }) => name);
  for (const { name, online } of nodes.entry.nodes) {
    if (!online) found.staying.push({ node: name, what: `node "${name}"`, reason: "it is offline" });
  }
  const looks = await mapBounded(names, wish.maxNodes, async (name) => {
    try {
      const node = await nodes.node(name);
      if ((await node.runner.files.stat(wish.dumpDir))?.kind !== "dir") {
        found.staying.push({ node: name, what: wish.dumpDir, reason: "there is no such directory" });
      }
      return { name, dirs: await findWorkDirs(node, wish.dumpDir) };
    } catch (error) {
      found.unseen.push({ node: name, error: messageOf(error) });
      return { name, dirs: [] };
    }
  });
  await addDirectories(found, nodes, looks);
  await addTestGuests(found, nodes);
  if (wish.unlock) await addLocks(found, nodes, looks, wish.store);
  return found;
}

async function addParts({ leftovers, staying }: Leftovers, store: string, now: Date): Promise<void> {
  const { parts, busy } = await findPartFiles(store, now);
  for (const part of parts) {
    leftovers.push({
      kind: "part",
      what: part.path,
      text: "part file of a run that was killed",
      bytes: part.bytes,
      remove: async () => void await removePart(part),
    });
  }
  for (const { path, reason } of busy) staying.push({ what: path, reason });
}

/** Guests of restore tests whose run is dead. */
async function addTestGuests({ leftovers, staying, unseen }: Leftovers, nodes: Nodes): Promise<void> {
  for (const { guest, run, inUse } of await findTestGuests(nodes, unseen.map(({ node }) => node))) {
    const [node, what] = [guest.node, guestLabel(guest)];
    if (inUse !== undefined) staying.push({ node, what, reason: inUse });
    else {
      leftovers.push({
        kind: "guest",
        node,
        what,
        text: `"${guest.name}" was made by a restore test that was killed`,
        remove: () => removeTestGuest(nodes, guest, run),
      });
    }
  }
}

interface Look {
  name: string;
  dirs: FoundWorkDir[];
}

/** The same directory may be seen from several nodes: one that says it is in use is enough. */
async function addDirectories(
  { leftovers, staying }: Leftovers,
  nodes: Nodes,
  looks: readonly Look[],
): Promise<void> {
  const inUse = new Map(
    looks.flatMap(({ name, dirs }) =>
      dirs.filter(({ state }) => state === "in-use").map(({ path, reason }) =>
        [path, { name, reason }] as const
      )
    ),
  );
  for (const { name, dirs } of looks) {
    for (const dir of dirs) {
      const user = inUse.get(dir.path);
      const elsewhere = user && user.name !== name
        ? `in use on node "${user.name}": ${user.reason}`
        : undefined;
      const reason = dir.reason ?? elsewhere;
      if (reason !== undefined) staying.push({ node: name, what: dir.path, reason });
      else leftovers.push(await directoryLeftover(nodes, name, dir));
    }
  }
}

async function directoryLeftover(nodes: Nodes, name: string, dir: FoundWorkDir): Promise<Leftover> {
  const { path, bytes, foreign } = dir;
  const node = await nodes.node(name);
  const texts = ["left over by a run that was killed"];
  if (foreign.length > 0) {
    texts.push(`${foreign.map((entry) => `"${entry}"`).join(", ")} in it was made by no run and stays`);
  }
  for (const { text, remedy } of await leftGuests(node, dir)) texts.push(`${text}: ${remedy}`);
  return {
    kind: "directory",
    node: name,
    what: path,
    text: texts.join("; "),
    bytes,
    remove: async () => (await removeWorkDir(node, path)).reason,
  };
}

async function addLocks(
  { leftovers, staying, unseen }: Leftovers,
  nodes: Nodes,
  looks: readonly Look[],
  store: string | undefined,
): Promise<void> {
  const recorded = store === undefined ? [] : unfinishedDumps((await readStore(store)).snapshots);
  const locked = (await listGuests(nodes.entry)).filter(({ lock }) => lock === "backup");
  for (const guest of locked) {
    const { node: name, vmid } = guest;
    const what = guestLabel(guest);
    if (unseen.some(({ node }) => node === name)) continue;
    const dirs = looks.find((look) => look.name === name)?.dirs ?? [];
    const isRecorded = dirs.some(({ dumpOf, state }) => dumpOf === vmid && state === "left-over") ||
      recorded.some((dump) => isOf(dump, guest, nodes.entry.clusterName));
    if (!isRecorded) {
      const tool = guest.kind === "qemu" ? "qm" : "pct";
      const reason =
        "it is locked (backup), but no run of this program that died is known to have dumped it; " +
        `see --store, or run "${tool} unlock ${vmid}"`;
      staying.push({ node: name, what, reason });
      continue;
    }
    leftovers.push({
      kind: "lock",
      node: name,
      what,
      text: "locked (backup) by a run that was killed" +
        (guest.status === "prelaunch"
          ? `; it was started for the dump and waits, see "qm stop ${vmid}"`
          : ""),
      remove: async () => void await removeBackupLock(await nodes.node(name), guest),
    });
  }
}

/** A store may hold runs of other clusters, where the same vmid is another guest. */
function isOf(dump: UnfinishedDump, guest: Guest, cluster: string | undefined): boolean {
  return dump.vmid === guest.vmid && dump.node === guest.node && dump.cluster === cluster;
}
