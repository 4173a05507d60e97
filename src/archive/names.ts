import type { GuestKind } from "../core/guest.ts";
import type { ArchiveFormat, Compression } from "./contents.ts";

/** What Proxmox reads out of an archive's file name. */
export interface ArchiveName {
  kind: GuestKind;
  /** By the suffix alone; Proxmox does not check that it fits the kind. */
  format: ArchiveFormat;
  /** By the suffix alone; the restore tools never look at the content. */
  compression: Compression;
  /** Absent where Proxmox lists the file without one. */
  vmid?: number;
  /** Named exactly as vzdump names archives; only such files are pruned and have a time. */
  standard: boolean;
  /** From the digits of the name, taken as local time. */
  time?: Date;
}

const SUFFIX: Readonly<Record<Compression, string>> = {
  none: "",
  gzip: ".gz",
  lzo: ".lzo",
  zstd: ".zst",
  bzip2: ".bz2",
};
const COMPRESSION_OF: Readonly<Record<string, Compression>> = {
  gz: "gzip",
  lzo: "lzo",
  zst: "zstd",
  bz2: "bzip2",
};

/** The name vzdump gives an archive. `time`: its local date and time are used, as on the node. */
export function archiveName(
  guest: { kind: GuestKind; vmid: number; time: Date; compression: Compression },
): string {
  const { kind, vmid, time, compression } = guest;
  const two = (part: number) => String(part).padStart(2, "0");
  const date = [String(time.getFullYear()).padStart(4, "0"), two(time.getMonth() + 1), two(time.getDate())];
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two);
  const format = kind === "qemu" ? "vma" : "tar";
  return `vzdump-${kind}-${vmid}-${date.join("_")}-${clock.join("_")}.${format}${SUFFIX[compression]}`;
}

const ACCEPTED = /^vzdump-(qemu|lxc|openvz)-(.+)\.(?:(tgz)|(tar|vma)(?:\.(gz|lzo|zst|bz2))?)$/;
const VMID = /^([1-9][0-9]{2,8})-/;
const STANDARD = /^[1-9][0-9]{2,8}-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)$/;

/**
 * Reads a base name as Proxmox's storage code does; `null` where that refuses it. Names that could
 * not be one line or one path component are refused too. `bzip2` is accepted by Proxmox VE 8.3 and later.
 */
export function parseArchiveName(baseName: string): ArchiveName | null {
  if (baseName.includes("..") || hasPathOrControl(baseName)) return null;
  const match = ACCEPTED.exec(baseName);
  if (match === null) return null;
  const [, prefix, stem = "", tgz, suffix, packed = ""] = match;
  const vmid = VMID.exec(stem)?.[1];
  const time = standardTime(stem);
  return {
    kind: prefix === "qemu" ? "qemu" : "lxc",
    format: suffix === "vma" ? "vma" : "tar",
    compression: tgz ? "gzip" : COMPRESSION_OF[packed] ?? "none",
    ...(vmid === undefined ? {} : { vmid: Number(vmid) }),
    standard: time !== undefined,
    ...(time === undefined ? {} : { time }),
  };
}

/**
 * Why `qmrestore` or `pct restore` would refuse a file of this base name, or take it for something
 * else; `undefined` when the name is good. Both choose the decompressor by the suffix.
 */
export function restoreRefusal(kind: GuestKind, baseName: string): string | undefined {
  if (hasPathOrControl(baseName)) return "The name is no plain file name";
  if (kind === "lxc") {
    // pct looks at nothing but the suffix when it unpacks; .tgz is listed by Proxmox but not restorable.
    return /\.tar(\.(gz|bz2|xz|lzo|zst))?$/.test(baseName)
      ? undefined
      : "pct restore takes only names ending in .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.lzo or .tar.zst";
  }
  const name = parseArchiveName(baseName);
  if (name === null) {
    return "qmrestore takes only names like vzdump-qemu-101-….vma, .vma.gz, .vma.lzo or .vma.zst";
  }
  if (name.format === "tar") return "qmrestore takes a .tar for a backup of very old releases";
  if (!name.standard && hasDateShape(baseName)) return "qmrestore fails on the impossible date in the name";
  return undefined;
}

function hasDateShape(baseName: string): boolean {
  return STANDARD.test(baseName.replace(/^vzdump-[a-z]+-/, "").replace(/\.(tgz|(tar|vma)(\.\w+)?)$/, ""));
}

function hasPathOrControl(baseName: string): boolean {
  // deno-lint-ignore no-control-regex
  return /[\x00-\x1f\x7f/]/.test(baseName);
}

/** The local time in a standard stem; `undefined` for other stems and for dates no calendar has. */
function standardTime(stem: string): Date | undefined {
  const parts = STANDARD.exec(stem)?.slice(1).map(Number);
  if (parts === undefined) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const calendar = new Date(0);
  calendar.setUTCFullYear(year, month - 1, day);
  if (calendar.getUTCMonth() !== month - 1 || calendar.getUTCDate() !== day) return undefined;
  const time = new Date(0);
  time.setFullYear(year, month - 1, day);
  time.setHours(hour, minute, second, 0);
  return time;
}
