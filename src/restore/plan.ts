import type { ConfigValues } from "../archive/guest_config.ts";
import type { ArchiveDisk, Compression } from "../archive/contents.ts";
import type { Guest, GuestKind } from "../core/guest.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { StorageMap } from "../core/storage_map.ts";
import type { Storage } from "../proxmox/cluster.ts";

/** An archive that is to be restored, with what its own bytes tell. */
export interface RestoreWish {
  archive: StoredArchive;
  compression: Compression;
  /** The configuration in the archive: key to value. */
  config: ConfigValues;
  disks: readonly ArchiveDisk[];
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
  /** Why a node that would be restored to cannot be. */
  unreachable: ReadonlyMap<string, string>;
  pools: readonly string[];
}

export interface RestoreSettings {
  /** Where guests go that stand nowhere; absent: to the entry node. */
  node?: string | undefined;
  storage?: StorageMap | undefined;
  pool?: string | undefined;
  ifExists: "refuse" | "replace-same" | "replace-stopped" | "replace";
  destroyExcluded: boolean;
  start: "as-before" | "always" | "never";
  unique: "auto" | "true" | "false";
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
  /** What goes to the tool as `--storage`; absent: each disk to where `disks` says. */
  storage?: string;
  /** Storages to write into the archive of a VM while it is staged. */
  storages?: StorageMap;
  /** A container's volumes for the tool, by key: `local-lvm:8,mp=/data,backup=1`; absent: all on `storage`. */
  volumes?: Record<string, string>;
  /** What a container mounts from its host, by key, to be added once it is restored; absent: the tool does it. */
  hostMounts?: Record<string, string>;
  pool?: string;
  /** What the guest will have; sizes in bytes. */
  disks: { key: string; size: number; storage: string | undefined }[];
  /** Volumes and snapshots that will be gone and are not in the archive. */
  destroys: string[];
  /** Disks that Proxmox keeps as `unusedN`. */
  keeps: string[];
  warnings: string[];
  /** Why it cannot be done, each a clause; empty: it can. */
  refusals: { reason: string; hint?: string }[];
}
