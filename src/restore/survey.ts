import { parseGuestConfig } from "../archive/guest_config.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import { listGuests, listPools, listStorages, type ProxmoxNode, type Storage } from "../proxmox/cluster.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { usableSpace } from "../core/space.ts";
import { peekArchive } from "./peek.ts";
import type { RestoreSettings, RestoreWish, Standing, Surroundings } from "./plan.ts";
import { lookAt } from "./standing.ts";
import { lookBeyond } from "./survey_cluster.ts";
import { chooseTargets, targetNode, type TargetRule } from "./targets.ts";

/** Questions asked of nodes at a time. */
const AT_ONCE = 4;

/** Reads what each archive's own beginning tells and decides its target. */
export async function readWishes(
  node: ProxmoxNode,
  archives: readonly StoredArchive[],
  rule: TargetRule | undefined,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<RestoreWish[]> {
  const targets = await chooseTargets(node, archives, rule);
  const wishes: RestoreWish[] = [];
  for (const [index, archive] of archives.entries()) {
    const target = targets[index];
    wishes.push({ archive, ...await peek(archive, from), ...(target !== undefined ? { target } : {}) });
  }
  return wishes;
}

/** Damage of one archive is that archive's. */
async function peek(
  archive: StoredArchive,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<Pick<RestoreWish, "compression" | "config" | "disks" | "damage">> {
  try {
    const source = await from.source.open(archive);
    const { compression, config, disks } = await peekArchive(source, archive.kind, from.decoder);
    return { compression, config: parseGuestConfig(config).values, disks };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return { compression: "none", config: {}, disks: [], damage: messageOf(error) };
  }
}

/**
 * Looks at everything the plan has to fit into: the guests that stand there, and the nodes that are restored to.
 * `dumpDir`: where archives would be staged. `avoid`: vmids that no copy may take.
 */
export async function survey(
  nodes: Nodes,
  wishes: readonly RestoreWish[],
  settings: Pick<RestoreSettings, "node" | "ifExists" | "unique"> & { dumpDir?: string },
  avoid: Iterable<number> = [],
): Promise<Surroundings> {
  const { entry } = nodes;
  // Each question takes pvesh a second or two on a real node.
  const [guests, pools] = await Promise.all([listGuests(entry), listPools(entry)]);
  const around = {
    node: entry.name,
    guests,
    standing: new Map<number, Standing>(),
    storages: new Map<string, readonly Storage[]>(),
    stagingSpace: new Map<string, number>(),
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
      const { dumpDir } = settings;
      if (dumpDir === undefined) return;
      // A directory that is not there is refused later, in words of its own.
      const space = await node.runner.files.freeSpace(dumpDir).catch(() => undefined);
      if (space) around.stagingSpace.set(name, usableSpace(space));
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
  const { standing } = around;
  return { ...around, ...await lookBeyond({ entry, reached, guests, standing, wishes }, settings, avoid) };
}

/** A guest of which no more is known than what the cluster lists. */
const asListed = (guest: Guest): Standing => ({ guest, status: guest.status, config: {}, snapshots: [] });
