import type { GuestKind } from "./guest.ts";

/** Where restored disks go. */
export interface StorageMap {
  /** Storage of all disks that are not named; absent: each goes where it came from. */
  readonly others?: string;
  /** Storage by config key: `scsi0`, `efidisk0`, `rootfs`, `mp0`. */
  readonly disks: Readonly<Record<string, string>>;
}

/** The storage that the map gives a disk; `undefined` where it says nothing of it. */
export function storageFor(map: StorageMap, key: string): string | undefined {
  return Object.hasOwn(map.disks, key) ? map.disks[key] : map.others;
}

/** Which guests have disks under this config key; `undefined`: none. */
export function kindOfDisk(key: string): GuestKind | undefined {
  if (/^(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+$/.test(key)) return "qemu";
  return /^(?:rootfs|mp\d+)$/.test(key) ? "lxc" : undefined;
}

/** The map as far as it speaks of guests of this kind: one map may serve several guests. */
export function mapFor(kind: GuestKind, map: StorageMap): StorageMap {
  const disks = Object.entries(map.disks).filter(([key]) => kindOfDisk(key) === kind);
  return { ...map, disks: Object.fromEntries(disks) };
}

/** Whether the map names disks, rather than one storage for all of them at most. */
export function namesDisks(map: StorageMap): boolean {
  return Object.keys(map.disks).length > 0;
}
