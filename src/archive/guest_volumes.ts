import type { GuestKind } from "../core/guest.ts";
import type { ArchiveDisk } from "./contents.ts";
import { type ConfigValues, type DiskMap, type GuestConfig, parseProperties } from "./guest_config.ts";

/** One disk, drive or mount point of a guest. */
export interface GuestVolume {
  /** Config key: `scsi0`, `efidisk0`, `unused0`, `rootfs`, `mp0`. */
  readonly key: string;
  /**
   * `disk`: a VM's disk, EFI disk or TPM state. `volume`: a container's rootfs or mount point on a
   * storage. `bind`, `device`: what a container mounts from its host. `unused`: attached to nothing.
   */
  readonly type: "disk" | "cdrom" | "cloudinit" | "volume" | "bind" | "device" | "unused";
  /** The value's first part: `local-lvm:vm-101-disk-0`, `/dev/sdb`, `none`. */
  readonly volume: string;
  /** Absent where the volume is a path. */
  readonly storage?: string;
  /** Bytes; absent where the config does not say. */
  readonly size?: number;
  /** Does vzdump take it? */
  readonly inBackup: boolean;
  /** Where a container has it: `/data`. */
  readonly mountPoint?: string;
}

/** Something of a guest that a backup leaves out. */
export interface NotHeld {
  /** Config key, or the snapshot's name. */
  readonly key: string;
  /** For people: `disk "fast:vm-101-disk-1", 9M`. */
  readonly what: string;
  /** For people: `backup=0 is set`. */
  readonly reason: string;
}

const VM_DISK = /^(ide|sata|scsi|virtio|efidisk|tpmstate|unused)\d+$/;
const CT_VOLUME = /^(rootfs|(mp|unused)\d+)$/;
const STORAGE = /^([a-z][a-z0-9_.-]*[a-z0-9]):./i;
const CLOUDINIT = /[:/](vm-\d+-)?cloudinit(\.qcow2|\.raw)?$/;
const UNIT_BYTES: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** The drives of a VM, `unusedN` included, in the order of the config. */
export function vmDisks(values: ConfigValues): GuestVolume[] {
  return entries(values, VM_DISK).map(([key, value]) => {
    const properties = parseProperties(value, "file");
    const volume = properties.file ?? "";
    const type = key.startsWith("unused")
      ? "unused"
      : properties.media !== "cdrom"
      ? "disk"
      : CLOUDINIT.test(volume)
      ? "cloudinit"
      : "cdrom";
    // An EFI disk belongs to the firmware OVMF; vzdump leaves it out under any other.
    const isIdleEfi = key.startsWith("efidisk") && values.bios !== "ovmf";
    const inBackup = type === "disk" && !isFalse(properties.backup) && !isIdleEfi;
    return { key, type, volume, ...originOf(volume), ...sizeOf(properties.size), inBackup };
  });
}

/** The rootfs and mount points of a container, `unusedN` included, in the order of the config. */
export function ctVolumes(values: ConfigValues): GuestVolume[] {
  return entries(values, CT_VOLUME).map(([key, value]) => {
    const properties = parseProperties(value, "volume");
    const volume = properties.volume ?? "";
    const type = key.startsWith("unused")
      ? "unused"
      : volume.startsWith("/dev/")
      ? "device"
      : volume.startsWith("/")
      ? "bind"
      : "volume";
    const inBackup = key === "rootfs" || (type === "volume" && isTrue(properties.backup));
    const mountPoint = key === "rootfs" ? "/" : properties.mp;
    return {
      key,
      type,
      volume,
      ...originOf(volume),
      ...sizeOf(properties.size),
      inBackup,
      ...(mountPoint === undefined ? {} : { mountPoint }),
    };
  });
}

/** What the guest has and its backup does not hold. CD-ROMs do not count: they are no data of the guest. */
export function notHeld(
  kind: GuestKind,
  config: Pick<GuestConfig, "values"> & Partial<Pick<GuestConfig, "snapshots">>,
): NotHeld[] {
  const volumes = kind === "qemu" ? vmDisks(config.values) : ctVolumes(config.values);
  const left = volumes
    .filter(({ type, inBackup }) => !inBackup && type !== "cdrom" && type !== "cloudinit")
    .map((volume) => ({ key: volume.key, what: describe(volume), reason: reasonOf(volume) }));
  const snapshots = (config.snapshots ?? []).map((name) => ({
    key: name,
    what: `snapshot "${name}"`,
    reason: "snapshots are never in a backup",
  }));
  return [...left, ...snapshots];
}

/** The disks of a VM archive. The key comes from the map line, else from the device's name: `drive-scsi0`. */
export function vmDisksOf(
  devices: readonly { readonly name: string; readonly size: number }[],
  maps: readonly DiskMap[],
): ArchiveDisk[] {
  // Saved memory is no disk.
  return devices.filter(({ name }) => name !== "vmstate").map(({ name, size }) => {
    const map = maps.find(({ device }) => device === name);
    const key = map?.key ?? name.replace(/^drive-/, "").replace(/-backup$/, "");
    return { key: harmless(key), size, ...(map?.storage ? { storage: map.storage } : {}) };
  });
}

/** The volumes of a container archive, by its configuration: rootfs and mount points with `backup=1`. */
export function containerDisks(values: ConfigValues): ArchiveDisk[] {
  return ctVolumes(values).filter(({ inBackup }) => inBackup).map(({ key, size, storage }) => ({
    key,
    size: size ?? 0,
    ...(storage === undefined ? {} : { storage }),
  }));
}

/** Bytes of `32G`, `4M`, `528K`, `1T` or a plain number; `undefined` for anything else. */
export function parseDiskSize(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text) ?? [];
  return digits === undefined ? undefined : Math.floor(Number(digits) * (UNIT_BYTES[unit] ?? 1));
}

function entries(values: ConfigValues, keys: RegExp): [string, string][] {
  return Object.entries(values).filter(([key]) => keys.test(key));
}

function originOf(volume: string): { storage?: string } {
  const storage = STORAGE.exec(volume)?.[1];
  return storage === undefined ? {} : { storage };
}

function sizeOf(text: string | undefined): { size?: number } {
  const size = text === undefined ? undefined : parseDiskSize(text);
  return size === undefined ? {} : { size };
}

function isTrue(text: string | undefined): boolean {
  return text !== undefined && /^(1|on|yes|true)$/i.test(text);
}

function isFalse(text: string | undefined): boolean {
  return text !== undefined && /^(0|off|no|false)$/i.test(text);
}

function describe({ key, type, volume, size, mountPoint }: GuestVolume): string {
  const where = mountPoint === undefined ? "" : ` at "${mountPoint}"`;
  const bytes = size === undefined ? "" : `, ${sizeText(size)}`;
  return `${nounOf(key, type)} "${volume}"${where}${bytes}`;
}

function nounOf(key: string, type: GuestVolume["type"]): string {
  if (type === "unused") return "unused disk";
  if (type === "bind" || type === "device") return `${type} mount`;
  if (type === "volume") return "mount point";
  return key.startsWith("efidisk") ? "EFI disk" : "disk";
}

/** Bytes in the largest unit that divides them: the config writes sizes so. */
function sizeText(bytes: number): string {
  const unit = ["T", "G", "M", "K"].find((name) => bytes > 0 && bytes % (UNIT_BYTES[name] ?? 1) === 0);
  return unit === undefined ? `${bytes} bytes` : `${bytes / (UNIT_BYTES[unit] ?? 1)} ${unit}iB`;
}

function reasonOf({ key, type }: GuestVolume): string {
  if (type === "unused") return "unused disks are never in a backup";
  if (type === "bind" || type === "device") return "mounts from the host are never in a backup";
  if (type === "volume") return "backup=1 is not set";
  return key.startsWith("efidisk") ? "the VM has no bios: ovmf" : "backup=0 is set";
}

/** A key taken from a device's name is text of the archive: letters, digits and a few signs, never a path. */
function harmless(key: string): string {
  return key.slice(0, 64).replaceAll(/[^A-Za-z0-9_-]/g, "_");
}
