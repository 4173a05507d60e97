/** `set` and `unlock` of qm and pct. */
import type { ParsedArguments } from "./args.ts";
import { configEntries, configValue, formatSize, parseDisk, withValue } from "./config.ts";
import { type Context, print, ToolError } from "./context.ts";
import { checkLock, localGuest } from "./guest_lookup.ts";
import { type GuestKind, type GuestState, type SimState, updateState } from "./state.ts";
import { allocateVolume, usableStorage } from "./storage.ts";

/** Options that steer the command instead of being configuration. */
const NOT_CONFIG = new Set([
  "vmid",
  "delete",
  "revert",
  "digest",
  "force",
  "skiplock",
  "background_delay",
  "import-working-storage",
]);
const DISK_KEY = /^(ide|sata|scsi|virtio|efidisk|tpmstate|rootfs|mp)\d*$/;
const NEW_VOLUME = /^([^:\s]+):(\d+(?:\.\d+)?)$/;

/** `local-lvm:8` allocates 8 GiB and becomes a volume id; anything else stays as it is. */
function diskValue(state: SimState, context: Context, guest: GuestState, key: string, value: string): string {
  const disk = parseDisk(key, value);
  const wanted = NEW_VOLUME.exec(disk.volume);
  if (!wanted) return value;
  usableStorage(state, wanted[1]!, context.node);
  const size = Math.round(Number(wanted[2]) * 1024 ** 3);
  const id = allocateVolume(state, context.dir, {
    storage: wanted[1]!,
    vmid: guest.vmid,
    kind: guest.kind,
    size,
  });
  const options = [...disk.options].filter(([name]) => name !== "size").map(([name, option]) =>
    `,${name}=${option}`
  );
  return `${id}${options.join("")},size=${formatSize(size)}`;
}

/** A removed disk becomes unused; a removed unused disk would be gone, which nobody here needs. */
function deleteKey(guest: GuestState, key: string): void {
  const entries = configEntries(guest.config);
  const value = entries.get(key);
  guest.config = withValue(guest.config, key, undefined);
  if (value === undefined || !DISK_KEY.test(key)) return;
  const { volume, options } = parseDisk(key, value);
  if (options.get("media") === "cdrom" || !volume.includes(":")) return;
  // A volume of another guest only goes.
  if (!new RegExp(`\\b(vm|base|subvol|basevol)-${guest.vmid}-`).test(volume)) return;
  let number = 0;
  while (entries.has(`unused${number}`)) number++;
  guest.config = withValue(guest.config, `unused${number}`, volume);
}

/** A disk that is attached again is unused no longer. */
function takeFromUnused(guest: GuestState, volume: string): void {
  for (const [key, value] of configEntries(guest.config)) {
    if (/^unused\d+$/.test(key) && value === volume) guest.config = withValue(guest.config, key, undefined);
  }
}

function set(context: Context, kind: GuestKind, parsed: ParsedArguments): void {
  updateState(context.dir, (state) => {
    const guest = localGuest(state, context.node, kind, parsed.number("vmid")!);
    if (!parsed.flag("skiplock")) checkLock(guest);
    for (const key of (parsed.text("delete") ?? "").split(/[,;\s]+/).filter((key) => key !== "")) {
      deleteKey(guest, key);
    }
    for (const [key, value] of parsed.values) {
      if (NOT_CONFIG.has(key)) continue;
      // Comment lines are the old one.
      if (key === "description") guest.config = guest.config.replaceAll(/^#.*\n/gm, "");
      if (DISK_KEY.test(key)) takeFromUnused(guest, parseDisk(key, value).volume);
      const line = DISK_KEY.test(key) ? diskValue(state, context, guest, key, value) : value;
      guest.config = withValue(guest.config, key, line);
    }
  });
  const words = [...parsed.values].filter(([key]) => key !== "vmid").map(([key, value]) =>
    `-${key} ${value}`
  );
  if (kind === "qemu" && words.length > 0) print(`update VM ${parsed.number("vmid")}: ${words.join(" ")}`);
}

function unlock(context: Context, kind: GuestKind, vmid: number): void {
  updateState(context.dir, (state) => {
    const guest = localGuest(state, context.node, kind, vmid);
    if (kind === "lxc" && configValue(guest.config, "lock") === undefined) {
      throw new ToolError("no lock found trying to remove any lock");
    }
    guest.config = withValue(guest.config, "lock", undefined);
  });
}

export function guestSet(context: Context, kind: GuestKind, name: string, parsed: ParsedArguments): number {
  if (name === "set") set(context, kind, parsed);
  else unlock(context, kind, parsed.number("vmid")!);
  return 0;
}
