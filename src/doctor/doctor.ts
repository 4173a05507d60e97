import { messageOf } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import { type ClusterNode, listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { readVzdumpConf } from "../proxmox/vzdump_conf.ts";
import type { NodeCheck, Patient } from "./check.ts";
import { lookAtBackups, type StoreAges } from "./checks/backups.ts";
import { clock, release, rights, tools } from "./checks/basics.ts";
import { lookAtQuorum, storages } from "./checks/cluster.ts";
import { locks, staging } from "./checks/leftovers.ts";
import { dumpDir, tmpdir } from "./checks/places.ts";
import { vzdumpConf } from "./checks/vzdump_conf.ts";
import { type Finding, fine, problem, type Sighting, warning } from "./finding.ts";

/** Everything that is looked at on a node, in the order of the findings. */
export const NODE_CHECKS: readonly NodeCheck[] = [
  release,
  rights,
  tools,
  clock,
  storages,
  dumpDir,
  tmpdir,
  vzdumpConf,
  locks,
  staging,
];

/** What to look at besides the nodes themselves. */
export interface Examination {
  dumpDir: string;
  tmpdir?: string | undefined;
  /** Nodes that are looked at side by side. */
  maxNodes: number;
  /** What a store holds; absent: no store is looked at. */
  ages?: StoreAges | undefined;
  now: () => Date;
  /** Milliseconds that one check may take. Default 60,000. */
  timeout?: number;
}

const DEFAULT_TIMEOUT = 60_000;

/**
 * Looks at everything that backups and restores depend on, and changes nothing. Never rejects: a check that fails or
 * takes too long is a finding, and so is a node that cannot be reached.
 */
export async function examine(nodes: Nodes, examination: Examination): Promise<Finding[]> {
  const { entry } = nodes;
  const { ages, now, maxNodes, timeout = DEFAULT_TIMEOUT } = examination;
  const quorum = await seen("quorum", undefined, () => lookAtQuorum(entry), timeout);
  let guests: Guest[] = [];
  const listed = await seen("guests", undefined, async () => {
    guests = await listGuests(entry);
    return [fine(`${guests.length} guests`)];
  }, timeout);
  const others = entry.nodes.filter(({ name }) => name !== entry.name);
  const self = entry.nodes.find(({ name }) => name === entry.name) ?? { name: entry.name, online: true };
  const looks = await mapBounded(
    [self, ...others],
    maxNodes,
    (node) => lookAtNode(nodes, node, guests, { ...examination, timeout }),
  );
  const backups = ages
    ? await seen("backups", undefined, () => Promise.resolve(lookAtBackups(guests, ages, now())), timeout)
    : [];
  return [...quorum, ...listed, ...looks.flat(), ...backups];
}

async function lookAtNode(
  nodes: Nodes,
  { name, online }: ClusterNode,
  guests: readonly Guest[],
  { dumpDir, tmpdir, now, timeout }: Examination & { timeout: number },
): Promise<Finding[]> {
  const own = guests.filter((guest) => guest.node === name);
  const about = own.length === 1 ? "its guest" : `its ${own.length} guests`;
  const unreached = (sighting: Sighting): Finding[] => [{ check: "reach", node: name, ...sighting }];
  if (!online) {
    const text = `the cluster reports it as offline: ${about} cannot be backed up`;
    return unreached(warning(text, 'start it, or remove it from the cluster, see "pvecm"'));
  }
  let node: ProxmoxNode;
  try {
    node = await nodes.node(name);
  } catch (error) {
    return unreached(problem(messageOf(error), `${about} cannot be backed up until it can be reached`));
  }
  const patient: Patient = {
    node,
    vzdumpConf: await readVzdumpConf(node),
    dumpDir,
    tmpdir,
    guests: own,
    now,
  };
  const findings = unreached(fine(`reached as ${node.runner.label}`));
  // One after the other: each sshd takes a few sessions at a time only, and a slow node is not pressed.
  for (const check of NODE_CHECKS) {
    findings.push(...await seen(check.name, name, () => check.look(patient), timeout));
  }
  return findings;
}

/** What a check saw, or that it could not look. */
async function seen(
  check: string,
  node: string | undefined,
  look: () => Promise<Sighting[]>,
  timeout: number,
): Promise<Finding[]> {
  let sightings: Sighting[];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Sighting[]>((resolve) => {
    timer = setTimeout(() => resolve([warning(`it took longer than ${timeout / 1000} s to look`)]), timeout);
  });
  try {
    sightings = await Promise.race([look(), late]);
  } catch (error) {
    sightings = [warning(`it cannot be looked at: ${messageOf(error)}`)];
  } finally {
    clearTimeout(timer);
  }
  return sightings.map((sighting) => ({ check, ...(node === undefined ? {} : { node }), ...sighting }));
}
