import { type ConfigValues, parseProperties } from "../archive/guest_config.ts";
import type { GuestKind } from "../core/guest.ts";
import type { ConfigEdit } from "../proxmox/guest_settings.ts";

/**
 * What a guest may have in a test: keys that reach nothing but the guest itself, without the number behind them. All
 * others are taken off, so that what a later release of Proxmox VE adds is off until it is known here.
 */
const HARMLESS: Readonly<Record<GuestKind, ReadonlySet<string>>> = {
  // `qm set`, without onboot, startup, autostart, protection, hookscript, args, hostpci, usb, virtiofs, parallel, ivshmem.
  qemu: new Set(
    ("acpi affinity agent allow-ksm amd-sev arch audio balloon bios boot bootdisk cicustom cipassword citype " +
      "ciupgrade ciuser cores cpu cpulimit cpuunits description digest hotplug hugepages intel-tdx ipconfig " +
      "keephugepages keyboard kvm localtime machine memory meta migrate_downtime migrate_speed name nameserver " +
      "numa ostype reboot rng scsihw searchdomain shares smbios smp sockets spice_enhancements sshkeys " +
      "startdate tablet tags tdf template vcpus vga vmgenid vmstatestorage watchdog").split(" "),
  ),
  // `pct set`, without net, onboot, startup, protection, hookscript, dev.
  lxc: new Set(
    ("arch cmode console cores cpulimit cpuunits debug description digest entrypoint env features hostname memory " +
      "nameserver ostype searchdomain swap tags template timezone tty unprivileged").split(" "),
  ),
};

const VM_DRIVE = /^(ide|sata|scsi|virtio|efidisk|tpmstate)\d+$/;
const VOLUME_KEY = /^(rootfs|(mp|unused)\d+)$/;

/** Whether one line of the configuration of the guest `vmid` reaches nothing outside of it. */
function isHarmless(kind: GuestKind, key: string, value: string, vmid: number): boolean {
  if (VOLUME_KEY.test(key)) return isOwnVolume(parseProperties(value, "volume").volume, vmid);
  if (kind === "qemu" && VM_DRIVE.test(key)) return isHarmlessDrive(value, vmid);
  if (kind === "qemu" && /^net\d+$/.test(key)) return parseProperties(value, "").link_down === "1";
  if (kind === "qemu" && /^serial\d+$/.test(key)) return value === "socket";
  return HARMLESS[kind].has(key) || HARMLESS[kind].has(key.replace(/\d+$/, ""));
}

/** An own disk, an empty CD drive, or an image in it: never a device of the host nor a volume of another guest. */
function isHarmlessDrive(value: string, vmid: number): boolean {
  const { file = "", media } = parseProperties(value, "file");
  const isImage = media === "cdrom" && /^[A-Za-z][\w.-]*:iso\/[^/]+$/.test(file);
  return isImage || (media === "cdrom" && file === "none") || isOwnVolume(file, vmid);
}

/** `local-lvm:vm-101-disk-0`, `local:101/vm-101-disk-0.qcow2`, `zfs:subvol-101-disk-0`: the name tells whose it is. */
function isOwnVolume(volume: string | undefined, vmid: number): boolean {
  const name = /^[A-Za-z][\w.-]*:(?:.*\/)?([^/]+)$/.exec(volume ?? "")?.[1] ?? "";
  return new RegExp(`^(vm|base|subvol|basevol)-${vmid}-`).test(name);
}

/** Keys that must go, or change, before the guest may start. */
export function harmfulKeys(kind: GuestKind, config: ConfigValues, vmid: number): string[] {
  return Object.entries(config).filter(([key, value]) => !isHarmless(kind, key, value, vmid))
    .map(([key]) => key);
}

/** Volumes in the configuration that another guest owns: such a guest is neither started nor removed by us. */
export function foreignVolumes(kind: GuestKind, config: ConfigValues, vmid: number): string[] {
  return harmfulKeys(kind, config, vmid).filter((key) => {
    if (!VOLUME_KEY.test(key) && !VM_DRIVE.test(key)) return false;
    const { file = "", volume = file } = parseProperties(config[key] ?? "", "file");
    return /:(.*\/)?(vm|base|subvol|basevol)-\d+-/.test(volume);
  });
}

/** Lines that `pct set` cannot take away (pve-container's API takes no `lxc.*` key): such a container is not tested. */
export function rawLines(config: ConfigValues): string[] {
  return Object.keys(config).filter((key) => key.startsWith("lxc."));
}

/** What makes the guest harmless: links of a VM's network cards down, all else that is not harmless taken off. */
export function harmlessEdit(kind: GuestKind, config: ConfigValues, vmid: number): ConfigEdit {
  const edit = { set: {} as Record<string, string>, remove: [] as string[] };
  for (const key of harmfulKeys(kind, config, vmid)) {
    const value = config[key] ?? "";
    if (kind === "qemu" && /^net\d+$/.test(key)) edit.set[key] = linkDown(value);
    else edit.remove.push(key);
  }
  return edit;
}

function linkDown(card: string): string {
  const kept = card.split(",").filter((part) => !part.trim().startsWith("link_down="));
  return [...kept, "link_down=1"].join(",");
}

/** The difference in what a network card is, apart from its link: properties may come back in another order. */
function sameCard(a: string, b: string): boolean {
  const form = (card: string) => card.split(",").map((part) => part.trim()).sort().join(",");
  return form(a) === form(b);
}

/** Why a configuration that was read back is not what it was to become; empty: it is. */
export function deviations(
  kind: GuestKind,
  config: ConfigValues,
  vmid: number,
  wanted: Readonly<Record<string, string>>,
): string[] {
  const harmful = harmfulKeys(kind, config, vmid).map((key) => `"${key}" is still there`);
  const missed = Object.entries(wanted).filter(([key, value]) => {
    const now = config[key] ?? "";
    return /^net\d+$/.test(key) ? !sameCard(now, value) : now !== value;
  });
  return [...harmful, ...missed.map(([key]) => `"${key}" is not as it was set`)];
}

/** Bytes of memory that the guest takes when it runs. Proxmox' default is 512 MiB. */
export function memoryOf(config: ConfigValues): number {
  const { current } = parseProperties(config.memory ?? "512", "current");
  return Number(current ?? 512) * 1024 ** 2;
}
