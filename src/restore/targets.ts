import { UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import { listGuests, nextFreeVmid, type ProxmoxNode } from "../proxmox/cluster.ts";
import type { RestoreSettings } from "./plan.ts";

/** Under which vmids archives are restored: one, free ones, or their own plus a number. Absent: their own. */
export type TargetRule = number | "next" | { offset: number };

/** Highest vmid that Proxmox accepts (pve-common's JSONSchema.pm, `pve-vmid`). */
const VMID_MAX = 999_999_999;

/**
 * The rule that the options give.
 *
 * @throws {UserError} of kind `usage` when they give two
 */
export function targetRule(
  { newid, newid_offset: offset }: { newid: number | "next" | undefined; newid_offset: number | undefined },
): TargetRule | undefined {
  if (newid !== undefined && offset !== undefined) {
    throw new UserError("usage", "Cannot use newid and newid_offset together", { hint: "give one of them" });
  }
  return offset === undefined ? newid : { offset };
}

/**
 * The vmid that an archive goes to by any rule but `next`; `undefined` where its name tells none.
 *
 * @throws {UserError} of kind `usage` when there is no such vmid
 */
export function targetOf(
  { name, vmid }: Pick<StoredArchive, "name" | "vmid">,
  rule: Exclude<TargetRule, "next"> | undefined,
): number | undefined {
  if (typeof rule === "number") return rule;
  if (vmid === undefined || rule === undefined) return vmid;
  if (vmid + rule.offset <= VMID_MAX) return vmid + rule.offset;
  throw new UserError("usage", `Cannot restore "${name}" to vmid ${vmid + rule.offset}`, {
    hint: `Proxmox takes vmids up to ${VMID_MAX}; give a smaller --newid-offset`,
  });
}

/**
 * The vmid that each archive goes to.
 *
 * @throws {UserError} of kind `usage` for several archives and one vmid
 */
export async function chooseTargets(
  node: ProxmoxNode,
  archives: readonly StoredArchive[],
  rule: TargetRule | undefined,
): Promise<(number | undefined)[]> {
  if (typeof rule === "number" && archives.length > 1) {
    throw new UserError("usage", `Cannot restore ${archives.length} guests to the one vmid ${rule}`, {
      hint: "name one guest with --vmid, or pass --newid next or --newid-offset",
    });
  }
  if (rule === "next") return await freeVmids(node, archives.length);
  return archives.map((archive) => targetOf(archive, rule));
}

/** `count` vmids that are free now and not in `avoid`, the first as Proxmox proposes it. */
export async function freeVmids(
  node: ProxmoxNode,
  count: number,
  avoid: Iterable<number | undefined> = [],
): Promise<number[]> {
  const [guests, next] = await Promise.all([listGuests(node), nextFreeVmid(node)]);
  const taken = new Set([...guests.map((guest) => guest.vmid), ...avoid]);
  const free: number[] = [];
  for (let vmid = next; free.length < count; vmid++) {
    if (!taken.has(vmid)) free.push(vmid);
  }
  return free;
}

/** A guest is restored where it stands: its disks are there, and the tools of another node do not know it. */
export function targetNode(
  standing: { guest: { node: string } } | undefined,
  around: { node: string },
  settings: Pick<RestoreSettings, "node">,
): string {
  return standing?.guest.node ?? settings.node ?? around.node;
}
