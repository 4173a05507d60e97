import { messageOf, UserError } from "../core/errors.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import { startGuest } from "../proxmox/guest_control.ts";
import { guestFiles } from "../proxmox/guest_record.ts";
import { isLostTouch } from "../proxmox/lost_touch.ts";
import { addHostMounts } from "../proxmox/restore_tools.ts";
import { clearUp } from "./after_failure.ts";
import type { ReplaceContext } from "./context.ts";
import { tellKept } from "./kept_disks.ts";
import type { PlannedRestore, Standing } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { findTarget, isUnchanged, labelOf, lookAt } from "./standing.ts";
import { putBackHa, takeDown } from "./take_down.ts";

/** How far it has come: a tool that is being fed ends with us, one that has all it needs goes on. */
type Step = "stop" | "feed" | "restore";

/**
 * Does all that a restore takes around its tool, `restore`, if the guest that stands there is still the planned one.
 * `restore` says when a tool that is fed has its whole input.
 *
 * @throws what went wrong, in a sentence that says how the guest was left
 */
export async function carryOut(
  plan: PlannedRestore,
  entry: RestoredGuest,
  context: ReplaceContext,
  restore: (onWhole: () => Promise<void>) => Promise<void>,
): Promise<void> {
  context.stop.throwIfAborted();
  const before = await requireAsPlanned(plan, context.node);
  if (before) {
    const files = await guestFiles(context.node, before.guest, before.snapshots);
    entry.replaced = { ...files, status: before.status, ...(before.ha ? { ha: before.ha } : {}) };
  }
  await saveTheWorst(plan, entry, context);
  let step: Step = "stop";
  try {
    if (before) await takeDown(plan, before, entry, context);
    // Without what it mounts from the host it must not be started on our behalf.
    if (plan.hostMounts) await context.workDir.forgetRestart();
    // So far nothing is lost, and all can be put back.
    context.stop.throwIfAborted();
    step = plan.streams ? "feed" : "restore";
    // A guest without disks that is whole would pass for what a failed restore left.
    const { target: vmid, kind } = plan;
    if (plan.disks.length > 0 || plan.streams) await context.workDir.noteTarget({ vmid, kind }, plan);
    await restore(async () => {
      await context.workDir.noteWhole();
      step = "restore";
    });
    await requireRestored(plan, context.node);
    await context.workDir.forgetTarget().catch(() => {});
  } catch (error) {
    if (isLostTouch(error)) throw outOfSight(plan, step, error, context);
    if (error === context.stop.reason && step === "stop") {
      if (!before) throw error;
      entry.interrupted = true;
    }
    const left = await clearUp(plan, before, entry, context.node).catch((unclear) =>
      `how the guest was left is not known: ${messageOf(unclear)}`
    );
    await context.workDir.forgetRestart();
    await context.workDir.forgetTarget();
    const kind = error instanceof UserError && error.kind === "damage" ? error.kind : "failed";
    const what = error === context.stop.reason ? `Cannot restore ${labelOf(plan)}: ` : "";
    throw new UserError(kind, `${what}${messageOf(error)}; ${left}`, { cause: error });
  }
  if (before) await tellKept(plan, entry, context.node);
  if (await hasHostMounts(plan, entry, context)) {
    if (plan.starts) await start(plan, entry, context);
    await putBackHa(plan, entry, context);
  }
  // A node that was lost by now does itself what the note says.
  await context.workDir.forgetRestart().catch(() => {});
}

/** Keeps in the report how it would stand if nobody came to tell any more: the guest must be named there. */
async function saveTheWorst(
  plan: PlannedRestore,
  entry: RestoredGuest,
  { save }: ReplaceContext,
): Promise<void> {
  const { outcome } = entry;
  entry.outcome = "failed";
  entry.error = `The restore of ${
    labelOf(plan)
  } was cut off: whether what stands there is whole is not known`;
  await save();
  entry.outcome = outcome;
  delete entry.error;
}

/** The way to the node was lost: what is at work there goes on, its guard sees to the rest, and nothing is touched. */
function outOfSight(
  plan: PlannedRestore,
  step: Step,
  cause: unknown,
  { workDir }: ReplaceContext,
): UserError {
  workDir.leave();
  const [label, why] = [labelOf(plan), messageOf(cause)];
  const copy = plan.copy ? `; vmid ${plan.copy.vmid} may be a copy of it` : "";
  if (step === "feed") {
    return new UserError("failed", `Cannot restore ${label}: ${why}`, {
      hint: plan.action === "create"
        ? `node "${plan.node}" itself ends the tool and removes what it left: look whether it has`
        : `node "${plan.node}" itself ends the tool; the guest that stood there is probably lost, its configuration is in the report`,
      cause,
    });
  }
  return step === "stop"
    ? new UserError("failed", `Cannot restore ${label}: ${why}`, {
      hint: `it was being shut down and was not replaced; node "${plan.node}" itself starts it again${copy}`,
      cause,
    })
    : new UserError("failed", `Cannot tell whether ${label} was restored: ${why}`, {
      hint: `it goes on by itself on node "${plan.node}": look at its task log and at the guest there`,
      cause,
    });
}

/** Looks again at what stands under the target's vmid, right before anything is touched. */
async function requireAsPlanned(plan: PlannedRestore, node: ProxmoxNode): Promise<Standing | undefined> {
  const guest = (await listGuests(node)).find((entry) => entry.vmid === plan.target);
  const changed = (what: string) =>
    new UserError("failed", `Cannot restore ${labelOf(plan)}: ${what} since the plan was made`, {
      hint: "nothing was changed; run it again",
    });
  if (!guest) {
    if (plan.action === "replace") throw changed("the guest to replace has gone");
    return undefined;
  }
  if (plan.action === "create") throw changed("another guest has taken its vmid");
  const now = await lookAt(node, guest);
  const planned = plan.standing as Standing;
  if (guest.node !== planned.guest.node || guest.kind !== planned.guest.kind) {
    throw changed("the guest has moved");
  }
  if (!isUnchanged(now, planned)) throw changed("the configuration of the guest to replace has changed");
  if (now.status !== "stopped" && !plan.stops) throw changed("the guest to replace was started");
  return now;
}

/** Exit status 0 alone proves nothing: the guest must stand there with every disk of the archive. */
async function requireRestored(plan: PlannedRestore, node: ProxmoxNode): Promise<void> {
  const { config } = await lookAt(node, await findTarget(plan, node) ?? missing(plan));
  const lost = plan.disks.filter((disk) => config[disk.key] === undefined).map((disk) => disk.key);
  if (lost.length > 0) {
    throw new UserError("failed", `${labelOf(plan)} lacks ${lost.join(", ")}`);
  }
}

function missing(plan: PlannedRestore): never {
  throw new UserError("failed", `The restore tool ended well, but there is no ${labelOf(plan)}`);
}

/** Adds what the container mounts from its host. Answers whether all is there. */
async function hasHostMounts(
  plan: PlannedRestore,
  entry: RestoredGuest,
  { node }: ReplaceContext,
): Promise<boolean> {
  const { hostMounts, target, kind } = plan;
  if (!hostMounts) return true;
  try {
    await addHostMounts(node, { vmid: target, kind }, hostMounts);
    return true;
  } catch (error) {
    const keys = Object.keys(hostMounts).join(", ");
    entry.outcome = "not-running";
    entry.error = `${labelOf(plan)} is restored, but without ${keys}, and not started: ${messageOf(error)}`;
    return false;
  }
}

async function start(
  plan: PlannedRestore,
  entry: RestoredGuest,
  { node, listen }: ReplaceContext,
): Promise<void> {
  const guest = { vmid: plan.target, kind: plan.kind };
  listen({ type: "phase", vmid: plan.target, text: "starting the guest" });
  try {
    await startGuest(node, guest);
  } catch (error) {
    entry.outcome = "not-running";
    entry.error = `${labelOf(plan)} is restored, but not running: ${messageOf(error)}`;
  }
}
