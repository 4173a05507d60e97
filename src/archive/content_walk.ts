import type { GuestKind } from "../core/guest.ts";
import { hexStart, MAGIC_BYTES, recognize } from "./compression.ts";
import type { ArchiveDisk } from "./contents.ts";
import { decodeText, parseGuestConfig } from "./guest_config.ts";
import { containerDisks, vmDisksOf } from "./guest_volumes.ts";
import { peek, type Position, type Walk } from "./stream_walk.ts";
import { walkTar } from "./tar.ts";
import { type VmaContents, walkVma } from "./vma.ts";

/** What the walk through an uncompressed archive tells. */
export interface WalkedContents {
  readonly config: string;
  readonly firewall?: string;
  readonly disks: ArchiveDisk[];
}

/**
 * Walks an uncompressed archive of a guest of `kind` to its end. Throws unless it is whole, of that
 * kind and holds the guest's configuration, without which no tool restores it. `onHead` is told what stands
 * at the beginning, which for containers is all but the firewall rules, as soon as it has passed.
 */
export function* walkContents(
  at: Position,
  kind: GuestKind,
  onHead?: (head: WalkedContents) => void,
): Walk<WalkedContents> {
  const first = yield peek(MAGIC_BYTES);
  const recognized = recognize(first);
  const wanted = kind === "qemu" ? "vma" : "tar";
  if (recognized?.compression !== "none") {
    throw at.damage(0, `it is neither VMA nor tar, it begins with ${hexStart(first)}`);
  }
  if (recognized.format !== wanted) {
    throw at.damage(0, `it is ${recognized.format} where ${wanted} is expected`);
  }
  if (kind === "qemu") {
    return vmContents(at, yield* walkVma(at, (header) => onHead?.(vmContents(at, header))));
  }
  const tar = yield* walkTar(at, (config) => onHead?.(containerContents(config)));
  return { ...containerContents(tar.config), ...firewallOf(tar.firewall) };
}

function vmContents(at: Position, { configs, devices }: VmaContents): WalkedContents {
  // Of several of one name the last wins, as when they are extracted.
  const dataOf = (name: string) => configs.findLast((config) => config.name === name)?.data;
  const data = dataOf("qemu-server.conf");
  if (data === undefined) throw at.damage(0, "it holds no VM configuration, no qemu-server.conf");
  const config = decodeText(data);
  const { maps } = parseGuestConfig(config);
  return { config, ...firewallOf(dataOf("qemu-server.fw")), disks: vmDisksOf(devices, maps) };
}

function containerContents(data: Uint8Array): WalkedContents {
  const config = decodeText(data);
  return { config, disks: containerDisks(parseGuestConfig(config).values) };
}

function firewallOf(data: Uint8Array | undefined): { firewall?: string } {
  return data === undefined || data.length === 0 ? {} : { firewall: decodeText(data) };
}
