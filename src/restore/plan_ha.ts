import { unsettledHa } from "../proxmox/ha.ts";
import { haService } from "../proxmox/ha.ts";
import type { PlannedRestore, RestoreSettings, Standing } from "./plan.ts";

/** Plans what becomes of the HA resource of the guest that is to be replaced. */
export function planHa(
  plan: PlannedRestore,
  { guest, ha }: Standing,
  { start }: Pick<RestoreSettings, "start">,
  isTemplate: boolean,
): void {
  if (ha === undefined || ha === "ignored") return;
  const unsettled = unsettledHa(guest);
  if (unsettled !== undefined) {
    const service = haService(guest);
    plan.refusals.push({
      reason: `its HA resource ${service} is in state "${unsettled}"`,
      hint: unsettled === "error"
        ? `look at it, then clear the state: ha-manager set ${service} --state disabled`
        : "wait until the HA manager is done with it",
    });
  }
  const stays = ha === "started" && (start === "never" || isTemplate);
  plan.ha = { requested: ha, after: plan.starts ? "started" : stays ? "stopped" : ha };
}
