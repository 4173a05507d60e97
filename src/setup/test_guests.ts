import { messageOf } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import { readSettings } from "../proxmox/guest_settings.ts";
import { findWorkDirs } from "../proxmox/leftovers.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { runOf, TEST_NAME_PREFIX, workDirOf } from "../restore_test/mark.ts";
import { removeMarked } from "../restore_test/marked_guest.ts";

/** A guest that a restore test made, by the mark in its configuration. */
export interface FoundTestGuest {
  guest: Guest;
  run: string;
  /** Why its run may live, or that this is not known; absent: it is dead. */
  inUse?: string;
}

/** Finds the guests of restore tests on all nodes but those in `unseen`. */
export async function findTestGuests(nodes: Nodes, unseen: readonly string[]): Promise<FoundTestGuest[]> {
  const online = nodes.entry.nodes.filter((node) => node.online && !unseen.includes(node.name));
  const found: FoundTestGuest[] = [];
  for (const guest of await listGuests(nodes.entry)) {
    const isThere = online.some(({ name }) => name === guest.node);
    if (!isThere || !guest.name?.startsWith(TEST_NAME_PREFIX)) continue;
    const look = await lookAt(await nodes.node(guest.node), guest);
    if (look !== undefined) found.push(look);
  }
  return found;
}

/** Removes one, if its run is still dead and it still is what it was. Answers why it is still there. */
export async function removeTestGuest(nodes: Nodes, guest: Guest, run: string): Promise<string | undefined> {
  const node = await nodes.node(guest.node);
  const now = await lookAt(node, guest);
  if (now?.run !== run) return "it is another guest now";
  if (now.inUse !== undefined) return now.inUse;
  await removeMarked(node, guest, run);
  return undefined;
}

async function lookAt(node: ProxmoxNode, guest: Guest): Promise<FoundTestGuest | undefined> {
  const config = await readSettings(node, guest);
  const run = runOf(config);
  if (run === undefined) return undefined;
  const inUse = await whyInUse(node, workDirOf(config));
  return { guest, run, ...(inUse === undefined ? {} : { inUse }) };
}

/** The run holds the lock of its directory until its guest is gone; without the directory it is dead. */
async function whyInUse(node: ProxmoxNode, workDir: string | undefined): Promise<string | undefined> {
  if (workDir === undefined) {
    return "its description does not tell the directory of the restore test that made it; remove it by hand";
  }
  try {
    const dirs = await findWorkDirs(node, workDir.slice(0, workDir.lastIndexOf("/")));
    const own = dirs.find(({ path }) => path === workDir);
    return own?.state === "in-use" ? `its restore test is at work: ${own.reason}` : undefined;
  } catch (error) {
    return `whether its restore test is at work is not known: ${messageOf(error)}`;
  }
}
