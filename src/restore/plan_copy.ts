import type { ConfigValues } from "../archive/guest_config.ts";
import { ctVolumes, type GuestVolume, vmDisks } from "../archive/guest_volumes.ts";
import type { GuestKind } from "../core/guest.ts";
import { sizeText } from "../core/units.ts";
import type { PlannedRestore, Standing, Surroundings } from "./plan.ts";

/** The volumes that a full clone copies: all but CD-ROMs and what is attached to nothing. */
export function copiedVolumes(kind: GuestKind, config: ConfigValues): GuestVolume[] {
  const volumes = kind === "qemu" ? vmDisks(config) : ctVolumes(config);
  return volumes.filter(({ type }) => type !== "cdrom" && type !== "unused" && type !== "cloudinit");
}

/** Plans a full copy of each guest that is to be replaced. */
export function planCopies(plans: readonly PlannedRestore[], around: Surroundings): void {
  const free = [...around.free];
  for (const plan of plans) {
    const { standing } = plan;
    if (!standing || standing.guest.kind !== plan.kind || around.unreachable.has(plan.node)) continue;
    const vmid = free.shift();
    if (vmid === undefined) plan.refusals.push({ reason: "there is no free vmid for its copy" });
    else planCopy(plan, standing, vmid, around);
  }
}

function planCopy(plan: PlannedRestore, { config }: Standing, vmid: number, around: Surroundings): void {
  const volumes = copiedVolumes(plan.kind, config);
  plan.copy = {
    vmid,
    disks: volumes.map(({ key, size = 0, storage }) => ({ key, size, storage })),
  };
  // Neither tool copies what is no volume of a storage: "unable to clone mountpoint", "Full clone feature is not
  // supported".
  const foreign = volumes.filter(({ type, storage }) => storage === undefined || /bind|device/.test(type));
  if (foreign.length > 0) {
    plan.refusals.push({
      reason: `Proxmox cannot copy a guest with ${
        foreign.map(({ key, volume }) => `${key} (${volume})`).join(", ")
      }`,
      hint: "take that off first, or pass --if-exists replace-same to go without a copy",
    });
  }
  if (config.template === "1") plan.warnings.push("its copy will be a plain guest, not a template");
  warnOfSpace(plan, around);
}

/** The copy is made before anything is freed. Thin storage takes more than it has, so a lack only warns. */
function warnOfSpace(plan: PlannedRestore, around: Surroundings): void {
  const disks = plan.copy?.disks ?? [];
  for (const id of new Set(disks.map(({ storage }) => storage))) {
    const storage = around.storages.get(plan.node)?.find((entry) => entry.id === id);
    const needed = disks.filter((disk) => disk.storage === id).reduce((sum, { size }) => sum + size, 0);
    if (storage?.available === undefined || needed <= storage.available) continue;
    plan.warnings.push(
      `its copy takes up to ${sizeText(needed)} of storage "${id}", which has ${
        sizeText(storage.available)
      } free`,
    );
  }
}
