import { z } from "zod";
import { UserError } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import type { Runner } from "../runner/runner.ts";
import { pveshGet } from "./pvesh.ts";
import { parseRelease, type Release } from "./release.ts";

/** One node of the cluster as the entry node sees it. */
export interface ClusterNode {
  name: string;
  online: boolean;
  /** Address in the cluster's network; absent where the node does not say. */
  address?: string;
}

/** A node that can be asked and told things: how it is reached, and who it is. */
export interface ProxmoxNode {
  runner: Runner;
  name: string;
  release: Release;
  /** Absent on a node that is in no cluster. */
  clusterName?: string;
  nodes: ClusterNode[];
}

/** A storage as one node sees it. */
export interface Storage {
  id: string;
  type: string;
  /** Content types, such as `images`, `rootdir`, `backup`. */
  content: string[];
  enabled: boolean;
  active: boolean;
  /** Bytes; `undefined` while the storage is not active, when Proxmox reports 0 for "unknown". */
  available: number | undefined;
}

const flagLike = z.union([z.number(), z.string(), z.boolean()]).transform((value) => Number(value) === 1);
const numberLike = z.union([z.number(), z.string()]).transform(Number);
const textLike = z.union([z.string(), z.number()]).transform(String);

const versionAnswer = z.looseObject({ version: textLike });

const statusAnswer = z.array(z.looseObject({
  type: z.string(),
  name: textLike,
  local: flagLike.optional(),
  online: flagLike.optional(),
  ip: z.string().optional(),
}));

const resourcesAnswer = z.array(z.looseObject({
  vmid: numberLike.optional(),
  type: z.string(),
  node: z.string(),
  status: z.string().default("unknown"),
  name: textLike.optional(),
  template: flagLike.default(false),
  pool: textLike.optional(),
  tags: textLike.optional(),
  lock: z.string().optional(),
  hastate: z.string().optional(),
}));

const storagesAnswer = z.array(z.looseObject({
  storage: z.string(),
  type: z.string().default(""),
  content: z.string().default(""),
  enabled: flagLike.default(true),
  active: flagLike.default(false),
  avail: numberLike.default(0),
}));

const poolsAnswer = z.array(z.looseObject({ poolid: textLike }));

/**
 * Asks who the node is that `runner` reaches.
 *
 * @throws {UserError} of kind `unreachable` where no Proxmox VE node answers
 */
export async function connectNode(runner: Runner): Promise<ProxmoxNode> {
  const [version, entries] = await Promise.all([
    pveshGet(runner, "/version", versionAnswer),
    pveshGet(runner, "/cluster/status", statusAnswer),
  ]);
  const nodes = entries.filter((entry) => entry.type === "node");
  const local = nodes.find((entry) => entry.local);
  if (!local) {
    throw new UserError(
      "failed",
      `Cannot tell which node ${runner.label} is: "/cluster/status" names no local node`,
    );
  }
  const cluster = entries.find((entry) => entry.type === "cluster");
  return {
    runner,
    name: local.name,
    release: parseRelease(version.version),
    ...(cluster ? { clusterName: cluster.name } : {}),
    nodes: nodes.map((entry) => ({
      name: entry.name,
      online: entry.online ?? true,
      ...(entry.ip ? { address: entry.ip } : {}),
    })),
  };
}

/**
 * All guests of the cluster, sorted by vmid. Covers every node and every release; the states are those of
 * the node's last broadcast, seconds old. A guest without a broadcast yet has status `unknown` and no name.
 */
export async function listGuests(node: ProxmoxNode): Promise<Guest[]> {
  const answer = await pveshGet(node.runner, "/cluster/resources", resourcesAnswer, { type: "vm" });
  const guests: Guest[] = [];
  for (const entry of answer) {
    if (entry.vmid === undefined || (entry.type !== "qemu" && entry.type !== "lxc")) continue;
    guests.push({
      vmid: entry.vmid,
      kind: entry.type,
      node: entry.node,
      status: entry.status,
      template: entry.template,
      tags: (entry.tags ?? "").split(/[;, ]+/).filter((tag) => tag !== ""),
      ...(entry.name !== undefined ? { name: entry.name } : {}),
      ...(entry.pool !== undefined ? { pool: entry.pool } : {}),
      ...(entry.lock ? { lock: entry.lock } : {}),
      ...(entry.hastate ? { haState: entry.hastate } : {}),
    });
  }
  return guests.sort((a, b) => a.vmid - b.vmid);
}

/** The storages of this node. */
export async function listStorages(node: ProxmoxNode): Promise<Storage[]> {
  const answer = await pveshGet(node.runner, `/nodes/${node.name}/storage`, storagesAnswer);
  return answer.map((entry) => ({
    id: entry.storage,
    type: entry.type,
    content: entry.content.split(",").filter((type) => type !== ""),
    enabled: entry.enabled,
    active: entry.active,
    available: entry.active ? entry.avail : undefined,
  }));
}

/** Names of all pools, nested ones as `parent/child`. */
export async function listPools(node: ProxmoxNode): Promise<string[]> {
  return (await pveshGet(node.runner, "/pools", poolsAnswer)).map((pool) => pool.poolid);
}

/** The next vmid that is free in the cluster. */
export async function nextFreeVmid(node: ProxmoxNode): Promise<number> {
  return await pveshGet(node.runner, "/cluster/nextid", numberLike);
}
