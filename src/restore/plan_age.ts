import { pinnedMachine } from "../proxmox/machines.ts";
import { isAtLeast, parseRelease } from "../proxmox/release.ts";
import type { PlannedRestore, RestoreWish, Surroundings } from "./plan.ts";

/** Warns of an archive that is newer than what the node has, and refuses one that its tools do not take at all. */
export function planAge(plan: PlannedRestore, wish: RestoreWish, around: Surroundings): void {
  warnOfRelease(plan, wish, around);
  warnOfMachine(plan, wish, around);
  const node = around.releases.get(plan.node);
  const isTaken = !node || isAtLeast(node, 8, 3) || plan.kind === "lxc" || plan.streams || plan.storages;
  if (wish.compression !== "bzip2" || isTaken) return;
  plan.refusals.push({
    reason: `qmrestore takes .vma.bz2 since Proxmox VE 8.3, and node "${plan.node}" has ${node.text}`,
    hint: "pass --restore-method stream, which decompresses it on the way",
  });
}

function warnOfRelease(plan: PlannedRestore, wish: RestoreWish, around: Surroundings): void {
  const node = around.releases.get(plan.node);
  const { release } = wish.archive;
  const taken = release === undefined ? undefined : parseRelease(release);
  if (node && taken && !isAtLeast(node, taken.major, taken.minor)) {
    plan.warnings.push(
      `it was backed up on Proxmox VE ${release}, and node "${plan.node}" has ${node.text}: ` +
        "what is newer in its configuration may be lost",
    );
  }
}

function warnOfMachine(plan: PlannedRestore, wish: RestoreWish, around: Surroundings): void {
  const machine = plan.kind === "qemu" ? pinnedMachine(wish.config.machine) : undefined;
  const known = around.machines.get(plan.node) ?? [];
  if (machine === undefined || known.length === 0) return;
  if (known.some((id) => id.replace(/\+.*$/, "") === machine)) return;
  plan.warnings.push(
    `QEMU of node "${plan.node}" does not know its machine type "${machine}": it will not start`,
  );
}
