import { messageOf } from "../core/errors.ts";
import { destroyGuest, startGuest } from "../proxmox/guest_control.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { PlannedRestore, Standing } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { findTarget, isIntact, labelOf } from "./standing.ts";
import { lookAt } from "./survey.ts";

/**
 * Leaves things as good as can be after a failed restore, and says in a clause how they are.
 * `before`: the guest that stood there, if any.
 */
export async function clearUp(
  plan: PlannedRestore,
  before: Standing | undefined,
  entry: RestoredGuest,
  node: ProxmoxNode,
): Promise<string> {
  const guest = await findTarget(plan, node);
  if (!before) return guest ? await clearStub(plan, entry, node) : "nothing was left behind";
  const now = guest && await lookAt(node, guest).catch(() => undefined);
  if (!now || !isIntact(now, before)) {
    return "the guest that stood there is lost; its configuration is in the report, the archive is untouched";
  }
  if (before.status === "stopped" || now.status !== "stopped") {
    return "the guest that stands there is untouched";
  }
  try {
    await startGuest(node, before.guest);
    return "the guest that stands there is intact and was started again";
  } catch (error) {
    return `the guest that stands there is intact, but it is stopped: ${messageOf(error)}`;
  }
}

/**
 * A failed qmrestore leaves an empty configuration behind. It is ours when nobody stood there before, our tool
 * has run and found the vmid free, and it lists no disk; a guest that came in between is not.
 */
async function clearStub(plan: PlannedRestore, entry: RestoredGuest, node: ProxmoxNode): Promise<string> {
  if (entry.log === undefined || /already exists on node/.test(entry.log)) {
    return "another guest has taken its vmid in between";
  }
  const left = await findTarget(plan, node);
  const keys = Object.keys(left ? (await lookAt(node, left)).config : {});
  const hasDisk = keys.some((key) =>
    /^(ide|sata|scsi|virtio|efidisk|tpmstate|unused|rootfs|mp)\d*$/.test(key)
  );
  if (hasDisk) return `an incomplete ${labelOf(plan)} was left behind: look at it, and remove it by hand`;
  try {
    await destroyGuest(node, { vmid: plan.target, kind: plan.kind });
    return "the empty guest that it left behind was removed";
  } catch (error) {
    return `an empty ${labelOf(plan)} was left behind: ${messageOf(error)}`;
  }
}
