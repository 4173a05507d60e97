import { notHeld } from "../archive/guest_volumes.ts";
import type { Guest } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import {
  FORM_VERSION,
  type Manifest,
  type ManifestGuest,
  type ManifestNode,
  type NotHeld,
} from "../core/snapshot.ts";
import type { ClusterNode, ProxmoxNode } from "../proxmox/cluster.ts";
import { readGuest } from "../proxmox/guest_record.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { readVzdumpConf } from "../proxmox/vzdump_conf.ts";
import type { DumpNode } from "./dump_nodes.ts";

/** The nodes that guests are dumped on, by name: what was seen of each, or why nothing was. */
export type NodeLooks = ReadonlyMap<string, DumpNode | { error: string }>;

/** Each node's own vzdump.conf; empty for one that cannot be reached. */
export async function readVzdumpConfs(nodes: Nodes, guests: readonly Guest[]): Promise<VzdumpConfs> {
  const names = [...new Set(guests.map((guest) => guest.node))];
  const read = async (name: string) =>
    [name, await nodes.node(name).then(readVzdumpConf).catch(() => ({}))] as const;
  return new Map(await Promise.all(names.map(read)));
}

type VzdumpConfs = ReadonlyMap<string, Readonly<Record<string, string>>>;

/**
 * Describes guests for the manifest: what they are, their configuration, and what a backup of them does not
 * hold. A configuration that cannot be read is left out: the dump itself will tell what is wrong.
 * `entry` is asked for guests of all nodes: the cluster filesystem holds their configurations everywhere.
 */
export async function describeGuests(
  entry: ProxmoxNode,
  guests: readonly Guest[],
  confs: VzdumpConfs,
): Promise<ManifestGuest[]> {
  const excludedOn = (node: string) => confs.get(node)?.["exclude-path"];
  return await mapBounded(guests, AT_ONCE, (guest) => describeGuest(entry, guest, excludedOn(guest.node)));
}

/** Guests whose configurations are read at once: where the cluster filesystem cannot be read, each takes seconds. */
const AT_ONCE = 4;

async function describeGuest(
  entry: ProxmoxNode,
  guest: Guest,
  excluded: string | undefined,
): Promise<ManifestGuest> {
  const { vmid, kind, name, status, template, pool, tags } = guest;
  const record = await readGuest(entry, guest).catch(() => undefined);
  return {
    vmid,
    kind,
    node: guest.node,
    status,
    template,
    tags,
    ...(name !== undefined ? { name } : {}),
    ...(pool !== undefined ? { pool } : {}),
    ...(record ? { config: record.config } : {}),
    notHeld: [
      ...(record ? notHeld(kind, { values: record.config, snapshots: record.snapshots }) : []),
      ...(kind === "lxc" && excluded !== undefined ? [excludedPaths(excluded)] : []),
    ],
  };
}

function excludedPaths(paths: string): NotHeld {
  return {
    key: "exclude-path",
    what: `files at "${paths}"`,
    reason: "exclude-path is set in /etc/vzdump.conf",
  };
}

/** Describes a run before its first dump: the manifest. */
export async function describeRun(
  entry: ProxmoxNode,
  guests: readonly Guest[],
  looks: NodeLooks,
  run: { id: string; started: Date; program: string; options: Record<string, unknown> },
): Promise<Manifest> {
  const confs = [...looks].map(([name, look]) => [name, "node" in look ? look.vzdumpConf : {}] as const);
  return {
    version: FORM_VERSION,
    run: run.id,
    started: run.started.toISOString(),
    program: run.program,
    node: entry.name,
    ...(entry.clusterName !== undefined ? { cluster: entry.clusterName } : {}),
    release: entry.release.text,
    nodes: entry.nodes.map((node) => describeNode(node, looks)),
    options: run.options,
    guests: await describeGuests(entry, guests, new Map(confs)),
  };
}

function describeNode({ name, online }: ClusterNode, looks: NodeLooks): ManifestNode {
  const look = looks.get(name);
  if (!look) return { name, online };
  if ("error" in look) return { name, online, error: look.error };
  return { name, online, release: look.node.release.text, vzdumpConf: look.vzdumpConf };
}
