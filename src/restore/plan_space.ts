import type { StorageMap } from "../core/storage_map.ts";
import { sizeText } from "../core/units.ts";
import type { PlannedRestore, RestoreWish, Surroundings } from "./plan.ts";

/**
 * Sets what a restore needs against what there is: on each storage, for the copy too, and where the archive is staged.
 * A storage tells nothing while it is not active; a thin one takes more than it has.
 */
export function planSpace(plan: PlannedRestore, wish: RestoreWish, around: Surroundings): void {
  const disks = [...plan.disks, ...plan.copy?.disks ?? []];
  for (const id of new Set(disks.map(({ storage }) => storage))) {
    if (id === undefined) continue;
    const needed = disks.filter((disk) => disk.storage === id).reduce((sum, { size }) => sum + size, 0);
    const free = around.storages.get(plan.node)?.find((storage) => storage.id === id)?.available;
    plan.space.push({ where: `storage ${id}`, needed, ...(free === undefined ? {} : { free }) });
  }
  if (plan.streams || wish.isStaged) return;
  const needed = stagingBytes(wish, plan.storages);
  const free = around.stagingSpace?.get(plan.node);
  plan.space.push({ where: "staging", needed, ...(free === undefined ? {} : { free }) });
  if (free === undefined || needed <= free) return;
  plan.warnings.push(
    `staging takes ${sizeText(needed)}, and ${sizeText(free)} may be used: ` +
      "give another --dump-dir, or pass --restore-method stream",
  );
}

/**
 * Bytes that an archive takes where it is staged: at most, where storages are written into it and it is staged without
 * its compression for that.
 */
export function stagingBytes(
  { archive, compression, disks }: RestoreWish,
  storages: StorageMap | undefined,
): number {
  const isUnpacked = compression !== "none" && storages !== undefined;
  return Math.max(archive.bytes, isUnpacked ? disks.reduce((sum, { size }) => sum + size, 0) : 0);
}
