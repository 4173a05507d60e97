import type { Command } from "commander";
import { checkArchive } from "../archive/check.ts";
import { MAGIC_BYTES, recognize } from "../archive/compression.ts";
import { ArchiveDamage, type ArchiveDisk, type ArchiveHead, type Compression } from "../archive/contents.ts";
import { type ConfigValues, parseGuestConfig } from "../archive/guest_config.ts";
import { notHeld } from "../archive/guest_volumes.ts";
import { archiveName, parseArchiveName, restoreRefusal } from "../archive/names.ts";
import { readWhole } from "../archive/read_whole.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { GuestKind } from "../core/guest.ts";
import type { NotHeld } from "../core/snapshot.ts";
import { readableWord } from "../core/shell_words.ts";
import { sizeText } from "../core/units.ts";
import { peekArchive } from "../restore/peek.ts";
import { decoderTools } from "../setup/decoders.ts";
import { thisMachine } from "../setup/local_node.ts";
import type { CliContext } from "./context.ts";
import { notHeldText } from "./table.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  check?: true;
  json?: true;
}

/** Declares `inspect`. */
export function declareInspect(command: Command): void {
  command.description("show what an archive is, and how to restore it by hand")
    .argument("<FILE>", "an archive that vzdump wrote")
    .option("--check", "read all of it to prove it whole; without this only its beginning is looked at");
}

/** What is known of an archive. */
interface Inspected {
  path: string;
  bytes: number;
  kind?: GuestKind;
  compression?: Compression;
  vmid?: number;
  /** When it was taken, by its name: the node's local time. */
  taken?: Date;
  config?: ConfigValues;
  hasFirewall?: boolean;
  disks?: readonly ArchiveDisk[];
  notHeld?: readonly NotHeld[];
  /** Absent: it was not checked. */
  whole?: boolean;
  sha256?: string;
  damage?: string;
  /** What is odd about its name: Proxmox goes by nothing else. */
  oddities: string[];
  /** Shell commands, in their order. */
  restore: string[];
}

/** Runs `inspect`. */
export async function runInspect(
  flags: Flags,
  { terminal }: CliContext,
  [path = ""]: readonly string[],
): Promise<void> {
  const inspected = await inspect(path, flags.check === true);
  if (flags.json) await terminal.out(JSON.stringify(jsonOf(inspected)));
  else await show(inspected, terminal);
  if (inspected.damage === undefined) return;
  throw new UserError("damage", `Damaged: "${path}": ${inspected.damage}`);
}

async function inspect(path: string, isChecked: boolean): Promise<Inspected> {
  const file = await Deno.stat(path).catch((cause) => {
    throw new UserError("usage", `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  });
  if (!file.isFile) throw new UserError("usage", `Cannot read "${path}": it is no regular file`);
  const base = path.slice(path.lastIndexOf("/") + 1);
  const named = parseArchiveName(base);
  const inspected: Inspected = {
    path,
    bytes: file.size,
    ...(named?.vmid === undefined ? {} : { vmid: named.vmid }),
    ...(named?.time === undefined ? {} : { taken: named.time }),
    oddities: [],
    restore: [],
  };
  try {
    const { kind, head } = await readHead(path, named?.kind);
    addHead(inspected, kind, head);
    inspected.oddities = odditiesOf(base, kind, head.compression);
    inspected.restore = restoreCommands(inspected, kind, head.compression, file.mtime ?? new Date());
    if (isChecked) inspected.sha256 = await check(path, kind);
    if (isChecked) inspected.whole = true;
  } catch (error) {
    if (!(error instanceof ArchiveDamage)) throw error;
    inspected.damage = messageOf(error);
    inspected.whole = false;
  }
  return inspected;
}

/** The archive's beginning. Its name tells the kind of the guest, unless it lies or tells nothing. */
async function readHead(path: string, named?: GuestKind): Promise<{ kind: GuestKind; head: ArchiveHead }> {
  const machine = thisMachine();
  const content = recognize(await firstBytes(path));
  const told = content?.compression === "none"
    ? (content.format === "vma" ? "qemu" : "lxc")
    : named ?? "qemu";
  const other = told === "qemu" ? "lxc" : "qemu";
  const peek = async (kind: GuestKind) => ({
    kind,
    head: await peekArchive(await machine.files.open(path), kind, decoderTools(machine)),
  });
  try {
    return await peek(told);
  } catch (error) {
    if (!(error instanceof ArchiveDamage) || content === undefined || content.compression === "none") {
      throw error;
    }
    return await peek(other).catch(() => Promise.reject(error));
  }
}

async function firstBytes(path: string): Promise<Uint8Array> {
  const source = await thisMachine().files.open(path);
  try {
    return (await source.read(new Uint8Array(MAGIC_BYTES))).slice();
  } finally {
    await source.cancel("enough seen");
  }
}

async function check(path: string, kind: GuestKind): Promise<string> {
  const machine = thisMachine();
  const walk = checkArchive({ kind }, decoderTools(machine));
  return (await readWhole(await machine.files.open(path), walk, { isHashed: true })).sha256 as string;
}

function addHead(inspected: Inspected, kind: GuestKind, head: ArchiveHead): void {
  const { values } = parseGuestConfig(head.config);
  inspected.kind = kind;
  inspected.compression = head.compression;
  inspected.config = values;
  inspected.hasFirewall = head.firewall !== undefined;
  inspected.disks = head.disks;
  inspected.notHeld = notHeld(kind, { values });
}

function odditiesOf(base: string, kind: GuestKind, compression: Compression): string[] {
  const refusal = restoreRefusal(kind, base);
  if (refusal !== undefined) return [refusal];
  const named = parseArchiveName(base);
  if (named && named.kind !== kind) return [`its name is one of a ${kind === "qemu" ? "container" : "VM"}`];
  if (named && named.compression !== compression) {
    return [`its name says compression "${named.compression}", but it has "${compression}"`];
  }
  return [];
}

/** The tools choose everything by the name, so that an odd one comes right first. */
function restoreCommands(
  { path, vmid, disks = [], oddities }: Inspected,
  kind: GuestKind,
  compression: Compression,
  time: Date,
): string[] {
  const name = archiveName({ kind, vmid: vmid ?? 100, time, compression });
  const good = oddities.length > 0 ? `${path.slice(0, path.lastIndexOf("/") + 1)}${name}` : path;
  const rename = good === path ? [] : [`mv -- ${readableWord(path)} ${readableWord(good)}`];
  const target = vmid ?? "VMID";
  // Without --storage pct takes "local", which holds no containers by default (pve-container, PVE/API2/LXC.pm).
  const storage = disks.find(({ key }) => key === "rootfs")?.storage ?? "STORAGE";
  return [
    ...rename,
    kind === "qemu"
      ? `qmrestore ${readableWord(good)} ${target}`
      : `pct restore ${target} ${readableWord(good)} --storage ${readableWord(storage)}`,
  ];
}

function jsonOf(inspected: Inspected): Record<string, unknown> {
  const { config = {}, kind, taken, ...rest } = inspected;
  const format = kind && (kind === "qemu" ? "vma" : "tar");
  return { type: "archive", ...rest, kind, format, taken: taken?.toISOString(), ...guestOf(config, kind) };
}

/** What people want to know of a configuration; the whole of it may hold secrets. */
function guestOf(config: ConfigValues, kind: GuestKind | undefined) {
  const number = (text: string | undefined) => text === undefined ? undefined : Number(/\d+/.exec(text)?.[0]);
  return {
    name: kind === "qemu" ? config.name : config.hostname,
    memoryMiB: number(config.memory),
    cores: number(config.cores),
    sockets: number(config.sockets),
    ostype: config.ostype,
    networks: Object.keys(config).filter((key) => /^net\d+$/.test(key)).length,
    template: config.template === "1",
    ...(kind === "lxc" ? { unprivileged: config.unprivileged === "1" } : {}),
  };
}

async function show(inspected: Inspected, terminal: Terminal): Promise<void> {
  const { path, bytes, kind, compression, vmid, taken, config = {}, disks = [], whole, sha256 } = inspected;
  const rows: [string, string | undefined][] = [["file", path], ["size", sizeText(bytes)]];
  if (kind !== undefined) {
    const guest = guestOf(config, kind);
    const label = `${kind === "qemu" ? "VM" : "container"}${vmid === undefined ? "" : ` ${vmid}`}`;
    const traits = [guest.template ? "template" : "", guest.unprivileged ? "unprivileged" : ""].filter(
      Boolean,
    );
    const packed = compression === "none" ? "not compressed" : `compressed by ${compression}`;
    rows.push(
      ["guest", [label + (guest.name === undefined ? "" : ` "${guest.name}"`), ...traits].join(", ")],
      ["taken", taken && `${taken.toLocaleString("sv")}, the node's local time`],
      ["format", `${kind === "qemu" ? "VMA" : "tar"}, ${packed}`],
      ["memory", guest.memoryMiB === undefined ? undefined : `${guest.memoryMiB} MiB`],
      ["firewall", inspected.hasFirewall ? "rules are in it" : undefined],
    );
    for (const { key, size, storage } of disks) {
      const parts = [key, size > 0 ? sizeText(size) : "", storage === undefined ? "" : `from "${storage}"`];
      rows.push(["disk", parts.filter(Boolean).join(", ")]);
    }
    for (const thing of inspected.notHeld ?? []) rows.push(["not in it", notHeldText(thing)]);
  }
  rows.push(["whole", whole === undefined ? "not checked; pass --check" : whole ? "yes" : "NO"], [
    "sha256",
    sha256,
  ]);
  for (const oddity of inspected.oddities) rows.push(["name", oddity]);
  for (const command of inspected.restore) rows.push(["restore", command]);
  for (const [name, text] of rows) if (text !== undefined) await terminal.out(`${name.padEnd(9)}  ${text}`);
}
