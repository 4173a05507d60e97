import { parseGuestConfig } from "../archive/guest_config.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import {
  listGuests,
  listPools,
  listStorages,
  nextFreeVmid,
  type ProxmoxNode,
  type Storage,
} from "../proxmox/cluster.ts";
import { guestStatus } from "../proxmox/guest_control.ts";
import { readGuest } from "../proxmox/guest_record.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { targetNode } from "./make_plan.ts";
import { peekArchive } from "./peek.ts";
import type { RestoreSettings, RestoreWish, Standing, Surroundings } from "./plan.ts";

/** Questions asked of nodes at a time. */
const AT_ONCE = 4;

/** Reads what each archive's own beginning tells and decides its target. */
export async function readWishes(
  node: ProxmoxNode,
  archives: readonly StoredArchive[],
  newid: number | "next" | undefined,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<RestoreWish[]> {
  if (typeof newid === "number" && archives.length > 1) {
    throw new UserError("usage", `Cannot restore ${archives.length} guests to the one vmid ${newid}`, {
      hint: "name one guest with --vmid, or pass --newid next",
    });
  }
  const free = newid === "next" ? await freeVmids(node, archives.length) : [];
  const wishes: RestoreWish[] = [];
  for (const [index, archive] of archives.entries()) {
    const target = typeof newid === "number" ? newid : free[index] ?? archive.vmid;
    const { compression, config, disks } = await peek(archive, from);
    wishes.push({
      archive,
      compression,
      config: parseGuestConfig(config).values,
      disks,
      ...(target !== undefined ? { target } : {}),
    });
  }
  return wishes;
}

async function peek(archive: StoredArchive, from: { source: SnapshotSource; decoder: DecoderFactory }) {
  try {
    return await peekArchive(await from.source.open(archive), archive.kind, from.decoder);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("damage", `Cannot restore "${archive.name}": ${messageOf(cause)}`, {
      ...(archive.snapshot === undefined ? {} : { hint: "take an older snapshot with --snapshot" }),
      cause,
    });
  }
}

/** `count` vmids that are free now, the first as Proxmox proposes it. */
export async function freeVmids(node: ProxmoxNode, count: number): Promise<number[]> {
  const [guests, next] = await Promise.all([listGuests(node), nextFreeVmid(node)]);
  const taken = new Set(guests.map((guest) => guest.vmid));
  const free: number[] = [];
  for (let vmid = next; free.length < count; vmid++) {
    if (!taken.has(vmid)) free.push(vmid);
  }
  return free;
}

/**
 * Looks at everything the plan has to fit into: the guests that stand there, and the nodes that are restored to.
 * `settings.node`: see `RestoreSettings`.
 */
export async function survey(
  nodes: Nodes,
  wishes: readonly RestoreWish[],
  settings: Pick<RestoreSettings, "node">,
): Promise<Surroundings> {
  const { entry } = nodes;
  // Each question takes pvesh a second or two on a real node.
  const [guests, pools] = await Promise.all([listGuests(entry), listPools(entry)]);
  const around = {
    node: entry.name,
    guests,
    standing: new Map<number, Standing>(),
    storages: new Map<string, readonly Storage[]>(),
    unreachable: new Map<string, string>(),
    pools,
  };
  const targets = wishes.map(({ target }) => {
    const guest = guests.find(({ vmid }) => vmid === target);
    return targetNode(guest && { guest }, around, settings);
  });
  const reached = new Map<string, ProxmoxNode>();
  const vmids = new Set(wishes.flatMap(({ target, archive }) => [target, archive.vmid]));
  const concerned = guests.filter(({ vmid }) => vmids.has(vmid));
  await mapBounded([...new Set(targets)], AT_ONCE, async (name) => {
    try {
      const node = await nodes.node(name);
      around.storages.set(name, await listStorages(node));
      reached.set(name, node);
    } catch (error) {
      if (name === entry.name) throw error;
      around.unreachable.set(name, messageOf(error));
    }
  });
  await mapBounded(concerned, AT_ONCE, async (guest) => {
    const look = lookAt(reached.get(guest.node) ?? entry, guest);
    const isRefused = around.unreachable.has(guest.node);
    around.standing.set(guest.vmid, isRefused ? await look.catch(() => asListed(guest)) : await look);
  });
  return around;
}

/** A guest of which no more is known than what the cluster lists. */
const asListed = (guest: Guest): Standing => ({ guest, status: guest.status, config: {}, snapshots: [] });

/** Looks at one guest: its state from the guest itself where it is on this node, its configuration anywhere. */
export async function lookAt(node: ProxmoxNode, guest: Guest): Promise<Standing> {
  const [status, record] = await Promise.all([
    guest.node === node.name ? guestStatus(node, guest) : guest.status,
    readGuest(node, guest),
  ]);
  return { guest, status, ...record };
}
