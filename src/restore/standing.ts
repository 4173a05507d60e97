import { ctVolumes, vmDisks } from "../archive/guest_volumes.ts";
import type { Guest } from "../core/guest.ts";
import { guestLabel } from "../core/guest.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import { guestStatus } from "../proxmox/guest_control.ts";
import { readGuest } from "../proxmox/guest_record.ts";
import { haRequest } from "../proxmox/ha.ts";
import type { PlannedRestore, Standing } from "./plan.ts";

/** `VM 101`: the target of a plan. */
export const labelOf = ({ target, kind }: PlannedRestore): string => guestLabel({ vmid: target, kind });

/** What stands under the target's vmid on this node now, if anything. */
export async function findTarget(plan: PlannedRestore, node: ProxmoxNode): Promise<Guest | undefined> {
  return (await listGuests(node)).find((guest) => guest.vmid === plan.target && guest.node === node.name);
}

/** Looks at one guest: its state from the guest itself where it is on this node, its configuration anywhere. */
export async function lookAt(node: ProxmoxNode, guest: Guest): Promise<Standing> {
  const [status, record, ha] = await Promise.all([
    guest.node === node.name ? guestStatus(node, guest) : guest.status,
    readGuest(node, guest),
    haRequest(node, guest),
  ]);
  return { guest, status, ...record, ...(ha === undefined ? {} : { ha }) };
}

/** Whether nothing in the guest's configuration and snapshots has changed, and nothing that HA is to do with it. */
export function isUnchanged(now: Standing, before: Standing): boolean {
  const form = ({ config, snapshots, ha }: Standing) =>
    JSON.stringify([Object.entries(config).sort(), [...snapshots].sort(), ha]);
  return form(now) === form(before);
}

/**
 * Whether the guest still has what makes it: its name and every disk. More may have changed without harm, since
 * a shutdown applies pending changes.
 */
export function isIntact(now: Standing, before: Standing): boolean {
  return form(now) === form(before);

  function form({ guest, config }: Standing): string {
    const volumes = guest.kind === "qemu" ? vmDisks(config) : ctVolumes(config);
    const held = volumes.map(({ key, volume }) => `${key}=${volume}`).sort();
    return JSON.stringify([config.name ?? config.hostname, held]);
  }
}
