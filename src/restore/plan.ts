import type { ConfigValues } from "../archive/guest_config.ts";
import type { ArchiveDisk, Compression } from "../archive/contents.ts";
import type { Guest, GuestKind } from "../core/guest.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { StorageMap } from "../core/storage_map.ts";
import type { Storage } from "../proxmox/cluster.ts";
import type { HaRequest } from "../proxmox/ha.ts";
import type { Neighbour } from "../proxmox/neighbours.ts";
import type { Release } from "../proxmox/release.ts";

/** An archive that is to be restored, with what its own bytes tell. */
export interface RestoreWish {
  archive: StoredArchive;
  compression: Compression;
  /** The configuration in the archive: key to value. */
  config: ConfigValues;
  disks: readonly ArchiveDisk[];
  /** Why its beginning cannot be read; then nothing else is known of it. */
  damage?: string;
  /** It lies on its node already. */
  isStaged?: boolean;
  /** Where it goes; absent when neither the archive nor an option tells. */
  target?: number;
}

/** A guest that stands in the cluster, looked at closely. */
export interface Standing {
  guest: Guest;
  /** Read from the guest itself where its node was reached. */
  status: string;
  config: ConfigValues;
  snapshots: readonly string[];
  /** What is requested of the HA manager; absent for a guest that it does not manage. */
  ha?: HaRequest;
}

/** What the plan has to fit into. */
export interface Surroundings {
  /** Name of the node by which the cluster was entered. */
  node: string;
  guests: readonly Guest[];
  /** Guests under a target's or an archive's own vmid, by vmid. */
  standing: ReadonlyMap<number, Standing>;
  /** The storages of each node that is restored to, as that node sees them. */
  storages: ReadonlyMap<string, readonly Storage[]>;
  /** Bytes that may be staged on a node, by its name, beside what must stay free. */
  stagingSpace?: ReadonlyMap<string, number>;
  /** The releases of those nodes, and the machine types that their QEMU knows where that matters. */
  releases: ReadonlyMap<string, Release>;
  machines: ReadonlyMap<string, readonly string[]>;
  /** What other guests have, by vmid, as far as it could be read. */
  neighbours: ReadonlyMap<number, Neighbour>;
  /** Free vmids for copies; none where no copy is wanted. */
  free: readonly number[];
  /** Why a node that would be restored to cannot be. */
  unreachable: ReadonlyMap<string, string>;
  pools: readonly string[];
}

export interface RestoreSettings {
  /** Where guests go that stand nowhere; absent: to the entry node. */
  node?: string | undefined;
  storage?: StorageMap | undefined;
  pool?: string | undefined;
  ifExists: "refuse" | "replace-same" | "replace-stopped" | "replace" | "keep-copy";
  /** Somebody asked for `ifExists`: it is no default. */
  isIfExistsGiven?: boolean;
  destroyExcluded: boolean;
  start: "as-before" | "always" | "never";
  unique: "auto" | "true" | "false";
  /** See `PlannedRestore.streams`; `auto`: only where nobody stands and staging space is short. Default `staged`. */
  method?: "staged" | "stream" | "auto";
}

/** What a restore of one archive will do. */
export interface PlannedRestore {
  archive: StoredArchive;
  compression: Compression;
  kind: GuestKind;
  /** Name of the guest in the archive. */
  name?: string;
  target: number;
  /** The node that it is restored on. */
  node: string;
  action: "create" | "replace";
  /** The guest that stands under the target's vmid, if any, and whether it is the archive's own. */
  standing?: Standing & { same: boolean };
  /** Shut down first, because it runs. */
  stops: boolean;
  starts: boolean;
  unique: boolean;
  /** The full copy that is made first of the guest that stands there; sizes in bytes. */
  copy?: { vmid: number; disks: { key: string; size: number; storage: string | undefined }[] };
  /** What is requested of the HA manager for that guest, and what it will be afterwards. */
  ha?: { requested: HaRequest; after: HaRequest };
  /**
   * The tool is fed the archive while that comes, without staging. It destroys what stands there before the archive
   * has proved whole.
   */
  streams: boolean;
  /** A container that must be told to be unprivileged: the tool cannot see it in a stream. */
  unprivileged?: true;
  /** What goes to the tool as `--storage`; absent: each disk to where `disks` says. */
  storage?: string;
  /** Storages to write into the archive of a VM while it is staged or streamed. */
  storages?: StorageMap;
  /** A container's volumes for the tool, by key: `local-lvm:8,mp=/data,backup=1`; absent: all on `storage`. */
  volumes?: Record<string, string>;
  /** What a container mounts from its host, by key, to be added once it is restored; absent: the tool does it. */
  hostMounts?: Record<string, string>;
  pool?: string;
  /** What the guest will have; sizes in bytes. */
  disks: { key: string; size: number; storage: string | undefined }[];
  /** What is needed where, in bytes; `free`: absent where it is not known. */
  space: { where: string; needed: number; free?: number }[];
  /** Volumes and snapshots that will be gone and are not in the archive. */
  destroys: string[];
  /** Disks that Proxmox keeps as `unusedN`, by the key that they had; `value`: their line in the configuration. */
  keeps: { key: string; volume: string; value: string }[];
  warnings: string[];
  /** It is refused since the archive is damaged at its very beginning. */
  damaged?: true;
  /** Why it cannot be done, each a clause; empty: it can. */
  refusals: { reason: string; hint?: string }[];
}
