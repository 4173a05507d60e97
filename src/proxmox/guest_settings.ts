import { type ConfigValues, parseGuestConfig } from "../archive/guest_config.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { control, type GuestId } from "./guest_control.ts";

/** A change of a guest's configuration. */
export interface ConfigEdit {
  set: Readonly<Record<string, string>>;
  remove: readonly string[];
}

/** The configuration in force as `qm` and `pct` themselves read it, raw `lxc.*` lines included. */
export async function readSettings(node: ProxmoxNode, guest: GuestId): Promise<ConfigValues> {
  const argv = ["config", String(guest.vmid), "--current", "1"];
  const { stdout } = await control(node, guest, "read the configuration of", argv);
  return parseGuestConfig(stdout).values;
}

/** Arguments of `qm` or `pct` that make the change. */
export function setArgs({ vmid }: GuestId, { set, remove }: ConfigEdit): string[] {
  const flags = Object.entries(set).flatMap(([key, value]) => [`--${key}`, value]);
  if (remove.length > 0) flags.push("--delete", remove.join(","));
  return ["set", String(vmid), ...flags];
}

/** Changes the configuration; nothing to change is fine. */
export async function changeSettings(node: ProxmoxNode, guest: GuestId, edit: ConfigEdit): Promise<void> {
  if (Object.keys(edit.set).length + edit.remove.length === 0) return;
  await control(node, guest, "change the configuration of", setArgs(guest, edit));
}
