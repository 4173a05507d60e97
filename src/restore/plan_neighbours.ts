import { guestIdentity } from "../archive/guest_config.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import type { PlannedRestore, RestoreWish, Surroundings } from "./plan.ts";

/** Warns of what the restored guest would share with another one. `original`: what the archive was taken from. */
export function warnOfSharing(
  plan: PlannedRestore,
  wish: RestoreWish,
  around: Surroundings,
  original: number | undefined,
): void {
  const others = around.guests.filter(({ vmid }) => vmid !== plan.target);
  const namesakes = others.filter(({ name, vmid }) => name === plan.name && vmid !== original);
  if (plan.name !== undefined && namesakes.length > 0) {
    plan.warnings.push(`the name "${plan.name}" is also that of ${labels(namesakes)}`);
  }
  if (plan.unique) return;
  for (const mac of guestIdentity(plan.kind, wish.config).macs) {
    const sharing = others.filter(({ vmid }) => around.neighbours.get(vmid)?.macs.includes(mac));
    if (sharing.length === 0) continue;
    plan.warnings.push(`MAC address ${mac} is also that of ${labels(sharing)}; --unique true gives new ones`);
  }
}

/** Refuses to replace a template on whose volumes linked clones stand: they would lose what they read. */
export function refuseLinkedClones(plan: PlannedRestore, around: Surroundings): void {
  const { target, kind } = plan;
  const others = around.guests.filter((guest) => guest.vmid !== target && guest.kind === kind);
  const onIt = new RegExp(`[:/]base(vol)?-${target}-[^/]*/`);
  const clones = others.filter(({ vmid }) =>
    around.neighbours.get(vmid)?.volumes.some((volume) => onIt.test(volume))
  );
  if (clones.length > 0) {
    plan.refusals.push({
      reason: `it is a template, and linked clones stand on its volumes: ${labels(clones)}`,
      hint: "pass --newid next, or make full clones of them first",
    });
  }
  const unknown = others.filter(({ vmid, template }) => !template && !around.neighbours.has(vmid));
  if (unknown.length > 0) {
    plan.warnings.push(
      `it is a template: whether a linked clone stands on it is not known of ${labels(unknown)}`,
    );
  }
}

function labels(guests: readonly Guest[]): string {
  const named = guests.slice(0, 5).map((guest) =>
    `${guestLabel(guest)}${guest.name ? ` "${guest.name}"` : ""}`
  );
  return [...named, ...(guests.length > 5 ? [`${guests.length - 5} more`] : [])].join(", ");
}
