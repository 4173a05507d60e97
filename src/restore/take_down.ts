import { messageOf } from "../core/errors.ts";
import { haService, requestHa, stopManaged } from "../proxmox/ha.ts";
import { stopGuest } from "../proxmox/guest_control.ts";
import { keepCopy } from "./keep_copy.ts";
import type { PlannedRestore, Standing } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import type { ReplaceContext } from "./context.ts";

/**
 * Stops the guest that is to be replaced, for the HA manager too, and copies it if that is planned. Nothing of it is
 * lost when this fails.
 */
export async function takeDown(
  plan: PlannedRestore,
  before: Standing,
  entry: RestoredGuest,
  context: ReplaceContext,
): Promise<void> {
  const { node, workDir, listen, shutdownTimeout } = context;
  if (before.status !== "stopped" || before.ha === "started") {
    listen({ type: "phase", vmid: plan.target, text: "shutting the guest down" });
    // To the HA manager a start is the request for it.
    if (plan.starts || plan.ha?.after === "started") await workDir.noteRestart(before.guest);
    const stop = plan.ha ? stopManaged : stopGuest;
    await stop(node, before.guest, shutdownTimeout, workDir.busy);
  }
  if (plan.copy) await keepCopy({ ...plan, copy: plan.copy }, before, entry, context);
}

/** Puts the state back that was requested of the HA manager, where a start of the guest has not done so. */
export async function putBackHa(
  plan: PlannedRestore,
  entry: RestoredGuest,
  { node }: Pick<ReplaceContext, "node">,
): Promise<void> {
  const { ha, standing, starts } = plan;
  if (!ha || !standing || starts || ha.requested !== "started") return;
  const service = haService(standing.guest);
  if (ha.after !== "started") {
    entry.warnings.push(
      `HA leaves it stopped from now on; to have it started: ha-manager set ${service} --state started`,
    );
    return;
  }
  try {
    await requestHa(node, standing.guest, "started");
  } catch (error) {
    entry.warnings.push(`its HA resource ${service} is still requested stopped: ${messageOf(error)}`);
  }
}
