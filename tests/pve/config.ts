/** Guest configuration files: `key: value` lines, then `[section]`s for pending changes and snapshots. */
import type { GuestKind } from "./state.ts";

const LINE = /^([a-z][a-z0-9_.-]*):[ \t]*(.*)$/i;
const SECTION = /^\[([^\]]+)\]\s*$/;

/** Storage keys of both kinds in the order Proxmox walks them. */
const VM_DISK = /^(ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|efidisk0|tpmstate0)$/;
const CT_VOLUME = /^(rootfs|mp([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))$/;
const UNUSED = /^unused[0-9]+$/;

/** Text before the first section and the sections by name. */
export function splitSections(text: string): { current: string; sections: Map<string, string> } {
  let current = "";
  const sections = new Map<string, string>();
  let name: string | undefined;
  for (const line of text.split("\n")) {
    const match = SECTION.exec(line);
    if (match) {
      name = match[1]!;
      sections.set(name, "");
    } else if (name === undefined) {
      if (line !== "") current += line + "\n";
    } else if (line !== "") {
      sections.set(name, sections.get(name) + line + "\n");
    }
  }
  return { current, sections };
}

function joinSections(current: string, sections: ReadonlyMap<string, string>): string {
  let text = current;
  for (const [name, body] of sections) text += `\n[${name}]\n${body}`;
  return text;
}

/** Keys and values of the current section (or of `section`), in file order. */
export function configEntries(text: string, section?: string): Map<string, string> {
  const parts = splitSections(text);
  const entries = new Map<string, string>();
  const body = section === undefined ? parts.current : parts.sections.get(section) ?? "";
  for (const line of body.split("\n")) {
    const match = LINE.exec(line);
    if (match) entries.set(match[1]!, match[2]!.trimEnd());
  }
  return entries;
}

export function configValue(text: string, key: string): string | undefined {
  return configEntries(text).get(key);
}

/** Sets a key of the current section; `undefined` removes it. Comments and sections stay. */
export function withValue(text: string, key: string, value: string | undefined): string {
  const { current, sections } = splitSections(text);
  const lines = current.split("\n").filter((line) => line !== "");
  const at = lines.findIndex((line) => LINE.exec(line)?.[1] === key);
  if (value === undefined) {
    if (at >= 0) lines.splice(at, 1);
  } else if (at >= 0) {
    lines[at] = `${key}: ${value}`;
  } else {
    lines.push(`${key}: ${value}`);
  }
  return joinSections(lines.map((line) => line + "\n").join(""), sections);
}

/** Names of snapshots: sections that are neither pending changes nor special. */
export function snapshotNames(text: string): string[] {
  return [...splitSections(text).sections.keys()].filter((name) =>
    name.toUpperCase() !== "PENDING" && !name.includes(":")
  );
}

/** The configuration with pending changes applied, as `qm config` shows it without `--current 1`. */
export function withPending(text: string): string {
  const { sections } = splitSections(text);
  let result = text;
  for (const [name, body] of sections) {
    if (name !== "PENDING" && name !== "pve:pending") continue;
    for (const line of body.split("\n")) {
      const match = LINE.exec(line);
      if (match?.[1] === "delete") {
        for (const key of match[2]!.split(/[,;\s]+/)) result = withValue(result, key, undefined);
      } else if (match) {
        result = withValue(result, match[1]!, match[2]!);
      }
    }
  }
  return result;
}

/** A disk or mount point line, taken apart. */
export interface DiskLine {
  key: string;
  /** First part: a volume id, `none`, a path. */
  volume: string;
  options: Map<string, string>;
  /** The whole value. */
  value: string;
}

export function parseDisk(key: string, value: string): DiskLine {
  const options = new Map<string, string>();
  let volume = "";
  for (const [index, part] of value.split(",").entries()) {
    const equals = part.indexOf("=");
    const name = part.slice(0, Math.max(equals, 0));
    if (name === "file" || name === "volume" || (index === 0 && equals < 0)) {
      volume = part.slice(equals + 1);
    } else if (equals > 0) {
      options.set(name, part.slice(equals + 1));
    }
  }
  return { key, volume, options, value };
}

/** Volume id of a disk line as `storage` and `name`, undefined for paths and `none`. */
export function splitVolumeId(volume: string): { storage: string; name: string } | undefined {
  const match = /^([a-z][a-z0-9_.-]*[a-z0-9]):(.+)$/i.exec(volume);
  return match ? { storage: match[1]!, name: match[2]! } : undefined;
}

/** Disk and mount point lines of the current section in Proxmox's order; `unusedN` only on demand. */
export function diskLines(kind: GuestKind, text: string, withUnused = false): DiskLine[] {
  const pattern = kind === "qemu" ? VM_DISK : CT_VOLUME;
  const lines: DiskLine[] = [];
  for (const [key, value] of configEntries(text)) {
    if (pattern.test(key) || (withUnused && UNUSED.test(key))) lines.push(parseDisk(key, value));
  }
  return lines.sort((a, b) => diskRank(a.key) - diskRank(b.key));
}

function diskRank(key: string): number {
  const [, name = "", number = "0"] = /^([a-z]+)([0-9]*)$/.exec(key) ?? [];
  const order = ["rootfs", "mp", "ide", "sata", "scsi", "virtio", "efidisk", "tpmstate", "unused"];
  return order.indexOf(name) * 1000 + Number(number);
}

export function isCdrom(disk: DiskLine): boolean {
  return disk.options.get("media") === "cdrom";
}

/** Whether Proxmox takes "1", "on", "yes" or "true" for this value. */
export function isTrue(value: string | undefined): boolean {
  return value !== undefined && /^(1|on|yes|true)$/i.test(value);
}

/** `32G`, `512M`, `4194304` as bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text);
  if (!match) return 0;
  return Math.round(Number(match[1]) * 1024 ** ["", "K", "M", "G", "T"].indexOf(match[2]!));
}

/** Bytes as Proxmox writes sizes into configurations: the largest unit that divides evenly. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (unit < 4 && value > 0 && value % 1024 === 0) {
    value /= 1024;
    unit++;
  }
  return `${value}${["", "K", "M", "G", "T"][unit]}`;
}
