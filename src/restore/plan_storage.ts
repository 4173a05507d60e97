import type { ArchiveDisk } from "../archive/contents.ts";
import type { Storage } from "../proxmox/cluster.ts";
import type { PlannedRestore, RestoreSettings, RestoreWish, Surroundings } from "./plan.ts";

/** The content type a storage must take for the disks of VMs and the volumes of containers. */
const CONTENT_TYPE = { qemu: "images", lxc: "rootdir" } as const;

/**
 * Decides where the disks go and adds what speaks against it to the plan.
 *
 * qmrestore puts each disk where the archive says it was, and one without a hint on "local"; pct restore knows
 * only one storage for all volumes and would take "local" by default, which holds no containers.
 */
export function planStorage(
  plan: PlannedRestore,
  wish: RestoreWish,
  around: Surroundings,
  settings: RestoreSettings,
): void {
  const storage = settings.storage ??
    (plan.kind === "lxc" ? containerStorage(plan, wish, around) : undefined);
  if (storage !== undefined) plan.storage = storage;
  plan.disks.push(
    ...wish.disks.map(({ key, size, storage: origin }) => ({ key, size, storage: storage ?? origin })),
  );
  for (const disk of plan.disks.filter((entry) => entry.storage === undefined)) {
    if (plan.kind === "lxc") break; // containerStorage has told why
    plan.refusals.push({
      reason: `the archive does not say on which storage disk "${disk.key}" was`,
      hint: "give one with --storage",
    });
  }
  for (const id of new Set([plan.storage, ...plan.disks.map((disk) => disk.storage)])) {
    if (id !== undefined) checkStorage(plan, id, around);
  }
}

function checkStorage(plan: PlannedRestore, id: string, around: Surroundings): void {
  const content = CONTENT_TYPE[plan.kind];
  const storages = around.storages.get(plan.node) ?? [];
  const storage = storages.find((entry) => entry.id === id);
  const hint = `give another with --storage${suggest(storages, content)}`;
  if (!storage) plan.refusals.push({ reason: `storage "${id}" does not exist on node "${plan.node}"`, hint });
  else if (!storage.enabled) plan.refusals.push({ reason: `storage "${id}" is disabled`, hint });
  else if (!storage.content.includes(content)) {
    plan.refusals.push({ reason: `storage "${id}" does not take ${describe(content)}`, hint });
  } else if (!storage.active) plan.refusals.push({ reason: `storage "${id}" is not active`, hint });
  else warnOfSpace(plan, storage);
}

/** Thin storage takes more than it has, so a lack of space only warns. */
function warnOfSpace(plan: PlannedRestore, storage: Storage): void {
  const needed = sum(plan.disks.filter((disk) => disk.storage === storage.id));
  if (storage.available === undefined || needed <= storage.available) return;
  const mib = (bytes: number) => `${Math.ceil(bytes / 1024 ** 2)} MiB`;
  plan.warnings.push(
    `the disks have ${mib(needed)} in all, storage "${storage.id}" has ${mib(storage.available)} free`,
  );
}

/** Where a container's rootfs was, if that still takes containers; else the roomiest storage that does. */
function containerStorage(plan: PlannedRestore, wish: RestoreWish, around: Surroundings): string | undefined {
  const origin = rootfs(wish.disks)?.storage;
  const takers = (around.storages.get(plan.node) ?? []).filter(({ enabled, content }) =>
    enabled && content.includes(CONTENT_TYPE.lxc)
  );
  // One that is not mounted for now is no reason to move the guest elsewhere: the check below tells.
  if (takers.some((storage) => storage.id === origin)) {
    const others = wish.disks.filter((disk) => disk.storage !== origin);
    for (const { key, storage } of others) {
      plan.warnings.push(
        `${key} was on storage "${storage ?? "unknown"}" and goes to "${origin}" with the rootfs`,
      );
    }
    return origin;
  }
  const ready = takers.filter(({ active }) => active);
  const roomiest = ready.toSorted((a, b) => (b.available ?? 0) - (a.available ?? 0))[0];
  if (!roomiest) {
    plan.refusals.push({
      reason: `no storage of node "${plan.node}" takes containers`,
      hint: 'allow the content type "rootdir" on one',
    });
    return undefined;
  }
  plan.warnings.push(
    `the rootfs was on storage "${
      origin ?? "unknown"
    }", which takes no containers here; it goes to "${roomiest.id}"`,
  );
  return roomiest.id;
}

function rootfs(disks: readonly ArchiveDisk[]): ArchiveDisk | undefined {
  return disks.find((disk) => disk.key === "rootfs");
}

function suggest(storages: readonly Storage[], content: string): string {
  const ids = storages.filter((entry) => entry.enabled && entry.active && entry.content.includes(content));
  return ids.length > 0 ? `: ${ids.map((entry) => entry.id).join(", ")}` : "";
}

function describe(content: string): string {
  return content === "images" ? "disks of VMs (content type images)" : "containers (content type rootdir)";
}

function sum(disks: readonly { size: number }[]): number {
  return disks.reduce((total, disk) => total + disk.size, 0);
}
