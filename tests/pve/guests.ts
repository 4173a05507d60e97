/** Makes guests of the simulated cluster: configuration text, disks, container trees. */
import { formatSize, parseSize, withValue } from "./config.ts";
import { randomWords, writePattern } from "./disk_data.ts";
import type { GuestKind, GuestState, SimState } from "./state.ts";
import { allocateVolume } from "./storage.ts";

/** A disk (VM) or volume (container) to create. */
export interface DiskSpec {
  /** `scsi0`, `efidisk0`, `rootfs`, `mp0`. */
  key: string;
  /** Bytes, or text such as `8M`. */
  size: number | string;
  storage?: string;
  /** Different seeds, different contents; default: derived from vmid and key. */
  seed?: number;
  /** Generated while it is read, never stored: for large disks. */
  synthetic?: boolean;
  /** Further options of the line, e.g. `backup=0,discard=on` or `mp=/data,backup=1`. */
  options?: string;
}

export interface GuestSpec {
  vmid: number;
  kind?: GuestKind;
  name?: string;
  node?: string;
  /** Run state; default `running`. */
  status?: string;
  /** Default: one disk of 4 MiB (`scsi0`) or a small `rootfs` of 1 GiB. */
  disks?: DiskSpec[];
  template?: boolean;
  tags?: string[];
  pool?: string;
  lock?: string;
  ha?: string;
  /** Containers; default true. */
  unprivileged?: boolean;
  firewall?: string;
  broadcast?: boolean;
  /** Lines to set in the configuration; `null` removes one. */
  config?: Record<string, string | null>;
  /** Text behind the current section: `[PENDING]`, snapshots. */
  sections?: string;
}

const storageDefaults: Readonly<Record<GuestKind, string>> = { qemu: "local-lvm", lxc: "local-lvm" };

function hex(value: number, digits: number): string {
  return (value >>> 0).toString(16).padStart(digits, "0");
}

function macOf(vmid: number): string {
  const digits = hex(Math.imul(vmid, 2654435761), 8).toUpperCase();
  return `BC:24:11:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4, 6)}`;
}

function uuidOf(vmid: number, salt: number): string {
  const next = randomWords(vmid * 7 + salt);
  const text = hex(next(), 8) + hex(next(), 8) + hex(next(), 8) + hex(next(), 8);
  return `${text.slice(0, 8)}-${text.slice(8, 12)}-4${text.slice(13, 16)}-8${text.slice(17, 20)}-${
    text.slice(20)
  }`;
}

function vmLines(spec: GuestSpec): string[] {
  return [
    "cores: 2",
    "memory: 1024",
    `name: ${spec.name ?? `vm${spec.vmid}`}`,
    `net0: virtio=${macOf(spec.vmid)},bridge=vmbr0`,
    "ostype: l26",
    "scsihw: virtio-scsi-single",
    `smbios1: uuid=${uuidOf(spec.vmid, 1)}`,
    `vmgenid: ${uuidOf(spec.vmid, 2)}`,
  ];
}

function containerLines(spec: GuestSpec): string[] {
  return [
    "arch: amd64",
    "cores: 1",
    `hostname: ${spec.name ?? `ct${spec.vmid}`}`,
    "memory: 512",
    `net0: name=eth0,bridge=vmbr0,hwaddr=${macOf(spec.vmid)},ip=dhcp,type=veth`,
    "ostype: debian",
    "swap: 512",
    ...(spec.unprivileged === false ? [] : ["unprivileged: 1"]),
  ];
}

function commonLines(spec: GuestSpec): string[] {
  return [
    ...(spec.template ? ["template: 1"] : []),
    ...(spec.tags ? [`tags: ${spec.tags.join(";")}`] : []),
    ...(spec.lock ? [`lock: ${spec.lock}`] : []),
  ];
}

/** A small root file system with what makes archives interesting. */
function writeTree(root: string, seed: number): void {
  const next = randomWords(seed);
  for (const name of ["etc", "root", "tmp", "var/log", "usr/bin"]) {
    Deno.mkdirSync(`${root}/${name}`, { recursive: true });
  }
  const words = new Uint32Array(16 * 1024);
  for (let index = 0; index < words.length; index++) words[index] = next();
  Deno.writeFileSync(`${root}/usr/bin/app`, new Uint8Array(words.buffer), { mode: 0o4755 });
  Deno.writeTextFileSync(`${root}/etc/hostname`, `ct-${seed}\n`);
  Deno.writeTextFileSync(`${root}/etc/shadow`, `root:*:${seed}:0:99999:7:::\n`, { mode: 0o600 });
  Deno.writeTextFileSync(`${root}/root/näme with space\nand newline`, "odd name\n");
  Deno.writeTextFileSync(`${root}/${"var/log/" + "long-".repeat(30)}`, "a name beyond 100 characters\n");
  Deno.writeTextFileSync(`${root}/tmp/scratch`, "left out by stdexcludes\n");
  Deno.symlinkSync("/proc/self/mounts", `${root}/etc/mtab`);
  Deno.linkSync(`${root}/etc/hostname`, `${root}/etc/hostname.linked`);
  const sparse = Deno.openSync(`${root}/var/log/lastlog`, { create: true, write: true });
  sparse.truncateSync(3 * 1024 * 1024);
  sparse.seekSync(1024 * 1024, Deno.SeekMode.Start);
  sparse.writeSync(new TextEncoder().encode("an island in a sparse file"));
  sparse.close();
}

function addDisk(state: SimState, dir: string, guest: GuestState, disk: DiskSpec): void {
  const size = typeof disk.size === "number" ? disk.size : parseSize(disk.size);
  const seed = disk.seed ??
    (guest.vmid * 64 + [...disk.key].reduce((sum, char) => sum + char.charCodeAt(0), 0));
  const storage = disk.storage ?? storageDefaults[guest.kind];
  const request = { storage, vmid: guest.vmid, kind: guest.kind, size, seed };
  const volume = allocateVolume(state, dir, { ...request, synthetic: disk.synthetic ?? false });
  const path = state.volumes[volume]!.path;
  if (path !== undefined && guest.kind === "qemu") writePattern(path, size, seed);
  if (path !== undefined && guest.kind === "lxc") writeTree(path, seed);
  const options = disk.options ? `,${disk.options}` : "";
  guest.config = withValue(guest.config, disk.key, `${volume}${options},size=${formatSize(size)}`);
}

function defaultDisks(kind: GuestKind): DiskSpec[] {
  return kind === "qemu" ? [{ key: "scsi0", size: "4M" }] : [{ key: "rootfs", size: "1G" }];
}

/** Adds a guest with its disks to the state. */
export function createGuest(state: SimState, dir: string, spec: GuestSpec, node: string): void {
  const kind = spec.kind ?? "qemu";
  const lines = [...(kind === "qemu" ? vmLines(spec) : containerLines(spec)), ...commonLines(spec)];
  const status = spec.template ? "stopped" : spec.status ?? "running";
  const guest: GuestState = {
    vmid: spec.vmid,
    kind,
    node: spec.node ?? node,
    config: lines.join("\n") + "\n",
    status,
    broadcast: spec.broadcast ?? true,
    ...(status === "stopped" ? {} : { startedAt: Date.now() }),
    ...(spec.firewall === undefined ? {} : { firewall: spec.firewall }),
    ...(spec.pool === undefined ? {} : { pool: spec.pool }),
    ...(spec.ha === undefined ? {} : { ha: spec.ha }),
  };
  if (spec.pool !== undefined) state.pools[spec.pool] ??= {};
  for (const disk of spec.disks ?? defaultDisks(kind)) addDisk(state, dir, guest, disk);
  for (const [key, value] of Object.entries(spec.config ?? {})) {
    guest.config = withValue(guest.config, key, value ?? undefined);
  }
  if (spec.sections !== undefined) guest.config += `\n${spec.sections.trimEnd()}\n`;
  state.guests[spec.vmid] = guest;
}
