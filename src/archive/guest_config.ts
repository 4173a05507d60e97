import { Buffer } from "node:buffer";
import type { GuestKind } from "../core/guest.ts";

/** Keys and values of a guest's configuration, from a config file or from `pvesh`. */
export type ConfigValues = Readonly<Record<string, string>>;

/** Which VMA device came from which disk: a `#qmdump#map:` line, which vzdump adds to the config. */
export interface DiskMap {
  /** Config key: `scsi0`. */
  readonly key: string;
  /** VMA device: `drive-scsi0`. */
  readonly device: string;
  /** Empty for a disk that is no volume of a storage. */
  readonly storage: string;
  readonly format: string;
}

/** The text of a config file, taken apart. */
export interface GuestConfig {
  /** The current configuration: what stands before the first section. */
  readonly values: ConfigValues;
  /** The description's lines as written, without the leading `#`. */
  readonly description: readonly string[];
  /** Names of the snapshots; sections of pending changes and special ones are none. */
  readonly snapshots: readonly string[];
  readonly maps: readonly DiskMap[];
}

const SECTION = /^\[(.+)\]\s*$/;
const NO_SNAPSHOT = /^(PENDING|pve:pending|special:.*)$/i;
const ENTRY = /^([a-z][a-z0-9_.-]*):\s*(.*?)\s*$/;
const MAP = /^#qmdump#map:([^:]+):([^:]+):([^:]*):([^:]*):?$/;

/** UTF-8, or Latin-1 where it is not UTF-8; never throws. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }
}

/** Reads a `.conf` file of either kind. Passes over lines that are nothing Proxmox knows; never throws. */
export function parseGuestConfig(text: string): GuestConfig {
  const values = new Map<string, string>();
  const description: string[] = [];
  const snapshots: string[] = [];
  const maps: DiskMap[] = [];
  let isCurrent = true;
  for (const line of text.split(/\r?\n/)) {
    const section = SECTION.exec(line)?.[1];
    if (section !== undefined) {
      isCurrent = false;
      if (!NO_SNAPSHOT.test(section)) snapshots.push(section);
    } else if (isCurrent) {
      readLine(line, { values, description, maps });
    }
  }
  return { values: Object.fromEntries(values), description, snapshots, maps };
}

interface CurrentSection {
  readonly values: Map<string, string>;
  readonly description: string[];
  readonly maps: DiskMap[];
}

function readLine(line: string, { values, description, maps }: CurrentSection): void {
  const map = MAP.exec(line);
  if (map !== null) {
    const [, key = "", device = "", storage = "", format = ""] = map;
    maps.push({ key, device, storage, format });
    return;
  }
  if (line.startsWith("#")) description.push(line.slice(1));
  const [, key, value] = ENTRY.exec(line) ?? [];
  if (key !== undefined && value !== undefined) values.set(key, value);
}

/** The config object that `pvesh` answers, numbers made strings; nested and empty values are left out. */
export function valuesOf(object: Readonly<Record<string, unknown>>): ConfigValues {
  const scalars = Object.entries(object).filter(([, value]) => ["string", "number"].includes(typeof value));
  return Object.fromEntries(scalars.map(([key, value]) => [key, String(value)]));
}

/** `first,key=value,…` taken apart; the first part without a key comes under `defaultKey`. */
export function parseProperties(value: string, defaultKey: string): ConfigValues {
  const properties = new Map<string, string>();
  for (const part of value.split(",")) {
    const equals = part.indexOf("=");
    if (equals > 0) properties.set(part.slice(0, equals).trim(), part.slice(equals + 1).trim());
    else if (!properties.has(defaultKey)) properties.set(defaultKey, part.trim());
  }
  return Object.fromEntries(properties);
}

/** What makes a guest the same guest. */
export interface GuestIdentity {
  /** VM only: the uuid of `smbios1`, lower case. */
  uuid?: string;
  /** `name` of a VM, `hostname` of a container. */
  name?: string;
  /** Upper case, colons. */
  macs: string[];
}

const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i;

/** Reads the identity out of a guest's configuration. */
export function guestIdentity(kind: GuestKind, values: ConfigValues): GuestIdentity {
  const name = kind === "qemu" ? values.name : values.hostname;
  const uuid = kind === "qemu" ? parseProperties(values.smbios1 ?? "", "").uuid : undefined;
  const macs = Object.entries(values)
    .filter(([key]) => /^net\d+$/.test(key))
    .flatMap(([, value]) => Object.values(parseProperties(value, "")).filter((part) => MAC.test(part)));
  return {
    ...(uuid ? { uuid: uuid.toLowerCase() } : {}),
    ...(name ? { name } : {}),
    macs: macs.map((mac) => mac.toUpperCase()),
  };
}

/**
 * VMs are the same when their uuids are, where both have one; otherwise, and for containers, when they
 * share the name and at least one MAC address.
 */
export function sameGuest(kind: GuestKind, a: GuestIdentity, b: GuestIdentity): boolean {
  if (kind === "qemu" && a.uuid !== undefined && b.uuid !== undefined) return a.uuid === b.uuid;
  return a.name !== undefined && a.name === b.name && a.macs.some((mac) => b.macs.includes(mac));
}
