import { guestIdentity } from "../archive/guest_config.ts";
import { ctVolumes, vmDisks } from "../archive/guest_volumes.ts";
import type { Guest } from "../core/guest.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { readConfig } from "./guest_record.ts";

/** What a guest may not share with another one, and what it may stand on. */
export interface Neighbour {
  /** Upper case, colons. */
  macs: readonly string[];
  /** Volume ids: `local-lvm:vm-101-disk-0`. */
  volumes: readonly string[];
}

const CLUSTER_CONFIGS = "/etc/pve/nodes";
const KEYS = "(net|rootfs|mp|ide|sata|scsi|virtio|efidisk|tpmstate|unused)[0-9]*";
const LINE = new RegExp(
  `^${CLUSTER_CONFIGS}/[^/]+/(?:qemu-server|lxc)/([0-9]+)\\.conf:${KEYS}: *(.*)$`,
);
const MAC = /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/gi;

/**
 * Network and volumes of every guest of the cluster, by vmid, snapshots included: one look into the cluster
 * filesystem. `undefined` where that cannot be read.
 */
export async function readNeighbours(node: ProxmoxNode): Promise<Map<number, Neighbour> | undefined> {
  const argv = ["grep", "-arsE", "--include=*.conf", `^${KEYS}: `, CLUSTER_CONFIGS] as const;
  // Status 2: a guest has gone meanwhile, or all of it cannot be read.
  const said = await node.runner.run(argv, { accept: [0, 2] }).catch(() => undefined);
  if (!said?.stdout) return undefined;
  const found = new Map<number, { macs: string[]; volumes: string[] }>();
  for (const line of said.stdout.split("\n")) {
    const [, vmid, key, value = ""] = LINE.exec(line) ?? [];
    if (vmid === undefined) continue;
    const neighbour = found.get(Number(vmid)) ?? { macs: [], volumes: [] };
    found.set(Number(vmid), neighbour);
    if (key === "net") neighbour.macs.push(...(value.match(MAC) ?? []).map((mac) => mac.toUpperCase()));
    else neighbour.volumes.push(value.split(",")[0] as string);
  }
  return found;
}

/** The same of one guest, which takes a second or two on a real node. */
export async function askNeighbour(node: ProxmoxNode, guest: Guest): Promise<Neighbour> {
  const config = await readConfig(node, guest);
  const volumes = guest.kind === "qemu" ? vmDisks(config) : ctVolumes(config);
  return { macs: guestIdentity(guest.kind, config).macs, volumes: volumes.map(({ volume }) => volume) };
}
