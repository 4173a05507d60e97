/** What makes a guest that guest: MAC addresses, smbios uuid, vmgenid. */
import { configEntries, withValue } from "./config.ts";
import type { GuestKind } from "./state.ts";

const MAC = /([0-9A-F]{2}:){5}[0-9A-F]{2}/i;

function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(3));
  return `BC:24:11:${[...bytes].map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":")}`;
}

/** Every restored or cloned VM gets a new generation id. */
export function renewGeneration(config: string): string {
  return configEntries(config).has("vmgenid") ? withValue(config, "vmgenid", crypto.randomUUID()) : config;
}

/** New MAC addresses; for VMs a new smbios uuid too. */
export function renewUnique(config: string, kind: GuestKind): string {
  let result = config;
  for (const [key, value] of configEntries(config)) {
    if (/^net\d+$/.test(key)) result = withValue(result, key, value.replace(MAC, randomMac()));
    if (key === "smbios1" && kind === "qemu") {
      result = withValue(result, key, value.replace(/uuid=[0-9a-f-]+/i, `uuid=${crypto.randomUUID()}`));
    }
  }
  return result;
}

/** As a clone of guest `vmid` has it: a container keeps its hostname. */
export function renewIdentity(config: string, kind: GuestKind, vmid: number): string {
  const renewed = renewGeneration(renewUnique(config, kind));
  if (kind === "lxc") return renewed;
  return withValue(renewed, "name", `Copy-of-VM-${configEntries(config).get("name") ?? vmid}`);
}
