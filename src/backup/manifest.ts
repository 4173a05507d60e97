import { notHeld } from "../archive/guest_volumes.ts";
import type { Guest } from "../core/guest.ts";
import { FORM_VERSION, type Manifest, type ManifestGuest, type NotHeld } from "../core/snapshot.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { readGuest } from "../proxmox/guest_record.ts";
import { readVzdumpConf } from "../proxmox/vzdump_conf.ts";

/**
 * Describes guests for the manifest: what they are, their configuration, and what a backup of them does not
 * hold. A configuration that cannot be read is left out: the dump itself will tell what is wrong.
 */
export async function describeGuests(node: ProxmoxNode, guests: readonly Guest[]): Promise<ManifestGuest[]> {
  const excluded = (await readVzdumpConf(node))["exclude-path"];
  const described: ManifestGuest[] = [];
  for (const guest of guests) described.push(await describeGuest(node, guest, excluded));
  return described;
}

async function describeGuest(
  node: ProxmoxNode,
  guest: Guest,
  excluded: string | undefined,
): Promise<ManifestGuest> {
  const { vmid, kind, name, status, template, pool, tags } = guest;
  const record = await readGuest(node, guest).catch(() => undefined);
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

/** Describes a run on `node` before its first dump: the manifest. */
export async function describeRun(
  node: ProxmoxNode,
  guests: readonly Guest[],
  run: { id: string; started: Date; program: string; options: Record<string, unknown> },
): Promise<Manifest> {
  return {
    version: FORM_VERSION,
    run: run.id,
    started: run.started.toISOString(),
    program: run.program,
    node: node.name,
    ...(node.clusterName !== undefined ? { cluster: node.clusterName } : {}),
    release: node.release.text,
    nodes: node.nodes.map(({ name, online }) => ({ name, online })),
    options: run.options,
    vzdumpConf: await readVzdumpConf(node),
    guests: await describeGuests(node, guests),
  };
}
