import { messageOf } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import { control, destroyGuest, startGuest, tool } from "../proxmox/guest_control.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { haService, requestHa } from "../proxmox/ha.ts";
import type { PlannedRestore, Standing } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { findTarget, isIntact, labelOf, lookAt } from "./standing.ts";

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
    // Another task has come in between, and what stands there now is that task's.
    const isTaken = /(VM|CT) is locked \(/.test(entry.log ?? "");
    return isTaken ? "another task is at work on it; it was not replaced" : lostText(plan, entry);
  }
  const after = (entry.copy ? `; its copy ${guestLabel(entry.copy)} stays` : "") +
    await putBackHa(before, node);
  if (before.status === "stopped" || now.status !== "stopped") {
    return `the guest that stands there is untouched${after}`;
  }
  try {
    await startGuest(node, before.guest);
    return `the guest that stands there is intact and was started again${after}`;
  } catch (error) {
    return `the guest that stands there is intact, but it is stopped: ${messageOf(error)}${after}`;
  }
}

/** Has HA do with an intact guest what it did before; what is wrong with that, as the end of a sentence. */
async function putBackHa({ guest, ha }: Standing, node: ProxmoxNode): Promise<string> {
  if (ha === undefined || ha === "ignored") return "";
  try {
    await requestHa(node, guest, ha);
    return "";
  } catch (error) {
    return `; HA is not told "${ha}" again: ${messageOf(error)}`;
  }
}

function lostText({ ha, standing, keeps, target, starts }: PlannedRestore, { copy }: RestoredGuest): string {
  const left = copy
    ? `but ${guestLabel(copy)} is a full copy of it`
    : "its configuration is in the report, the archive is untouched";
  const service = ha?.requested === "started" && standing ? haService(standing.guest) : undefined;
  const resource = service ? `; HA leaves ${service} stopped: ha-manager set ${service} --state started` : "";
  const kept = keeps.map(({ key, volume }) => `${key} (${volume})`).join(", ");
  const disks = kept ? `; ${kept} should be there still, see "qm disk rescan --vmid ${target}"` : "";
  const again = `; restore it again with --force${starts ? " and --start always" : ""}`;
  return `the guest that stood there is lost${copy ? ", " : "; "}${left}${disks}${again}${resource}`;
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
  const config = left ? (await lookAt(node, left)).config : {};
  const hasDisk = Object.keys(config).some((key) =>
    /^(ide|sata|scsi|virtio|efidisk|tpmstate|unused|rootfs|mp)\d*$/.test(key)
  );
  // A stream that proved damaged at its very end may have made the whole guest: what bears the archive's name is that.
  const isStreamed = plan.streams && plan.name !== undefined &&
    plan.name === (config.name ?? config.hostname);
  if (hasDisk && !isStreamed) {
    return `an incomplete ${labelOf(plan)} was left behind: look at it, and remove it by hand`;
  }
  try {
    await destroyGuest(node, { vmid: plan.target, kind: plan.kind });
    return `the ${hasDisk ? "" : "empty "}guest that it left behind was removed`;
  } catch (error) {
    if (plan.streams) return await lockRest(plan, config, node, messageOf(error));
    return `an empty ${labelOf(plan)} was left behind: ${messageOf(error)}`;
  }
}

/** Nobody should start what a stream left and what cannot be removed. */
async function lockRest(
  plan: PlannedRestore,
  { lock }: Standing["config"],
  node: ProxmoxNode,
  why: string,
): Promise<string> {
  const guest = { vmid: plan.target, kind: plan.kind };
  const lockIt = () => control(node, guest, "lock", ["set", String(plan.target), "--lock", "create"]);
  const isLocked = lock !== undefined || await lockIt().then(() => true, () => false);
  const [name, state] = [tool(guest), isLocked ? "locked" : "NOT locked"];
  const unlock = isLocked ? `${name} unlock ${plan.target} && ` : "";
  return `an incomplete ${labelOf(plan)} was left behind, ${state}: ${why}; ` +
    `remove it with "${unlock}${name} destroy ${plan.target}"`;
}
