import { UserError } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import { cloneGuest, startNotAtBoot } from "../proxmox/clone.ts";
import { listGuests } from "../proxmox/cluster.ts";
import type { ReplaceContext } from "./context.ts";
import type { PlannedRestore, Standing } from "./plan.ts";
import { copiedVolumes } from "./plan_copy.ts";
import type { RestoredGuest } from "./report.ts";
import { findTarget, isIntact, labelOf, lookAt } from "./standing.ts";

/**
 * Copies the stopped guest that is about to be replaced, and proves that the copy is there with every volume.
 * Once this has resolved the copy stands in the report.
 */
export async function keepCopy(
  plan: PlannedRestore & { copy: NonNullable<PlannedRestore["copy"]> },
  before: Standing,
  entry: RestoredGuest,
  { node, workDir, listen, save }: ReplaceContext,
): Promise<void> {
  const { guest, config } = before;
  const { vmid } = plan.copy;
  const copy = { vmid, kind: guest.kind };
  listen({ type: "phase", vmid: plan.target, text: `copying it to ${guestLabel(copy)}` });
  await cloneGuest(node, {
    source: guest,
    newid: vmid,
    hostname: guest.kind === "lxc" ? copyName(config.hostname) : undefined,
    hold: workDir.busy,
    logDir: workDir.path,
    onPercent: (percent) => listen({ type: "percent", vmid: plan.target, percent }),
  });
  // From here on there is a guest that nobody else knows of.
  entry.copy = { ...copy, node: node.name };
  await save();
  await startNotAtBoot(node, copy);
  await requireCopy(plan, before, vmid, node);
}

/** Proxmox's own habit for VMs. A name that would be too long stays as it is. */
function copyName(hostname: string | undefined): string | undefined {
  const name = `Copy-of-CT-${hostname}`;
  return hostname === undefined || (name.split(".")[0] as string).length > 63 ? undefined : name;
}

/** Exit status 0 alone proves nothing; and a copy may take hours, in which the original may have changed. */
async function requireCopy(
  plan: PlannedRestore,
  before: Standing,
  vmid: number,
  node: ReplaceContext["node"],
): Promise<void> {
  const { kind } = before.guest;
  const label = guestLabel({ vmid, kind });
  const fail = (reason: string) => {
    throw new UserError("failed", `Cannot replace ${labelOf(plan)}: ${reason}`);
  };
  const found = (await listGuests(node)).find((guest) => guest.vmid === vmid && guest.node === node.name);
  if (!found) return fail(`the copy ended well, but there is no ${label}`);
  const { config } = await lookAt(node, found);
  if (config.lock !== undefined) return fail(`its copy ${label} is locked (${config.lock})`);
  const copied = new Map(copiedVolumes(kind, config).map(({ key, volume }) => [key, volume]));
  for (const { key, volume } of copiedVolumes(kind, before.config)) {
    if (!copied.has(key)) return fail(`its copy ${label} lacks ${key}`);
    if (copied.get(key) === volume) return fail(`its copy ${label} has the very same ${key}`);
  }
  const original = await findTarget(plan, node);
  const now = original && await lookAt(node, original);
  if (!now || now.status !== "stopped" || !isIntact(now, before)) {
    return fail("it was changed or started while it was copied");
  }
}
