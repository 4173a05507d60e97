import type { ArchiveDisk } from "../archive/contents.ts";
import { vmDisks } from "../archive/guest_volumes.ts";
import { kindOfDisk, mapFor, namesDisks, storageFor, type StorageMap } from "../core/storage_map.ts";
import { sizeText } from "../core/units.ts";
import type { Storage } from "../proxmox/cluster.ts";
import type { PlannedRestore, RestoreSettings, RestoreWish, Surroundings } from "./plan.ts";
import { emptyVolumes, planVolumes } from "./plan_volumes.ts";
import { storagesToWrite } from "./stage.ts";

/** The content type a storage must take for the disks of VMs and the volumes of containers. */
const CONTENT_TYPE = { qemu: "images", lxc: "rootdir" } as const;
/** What qmrestore allocates for a cloud-init drive (qemu-server's Cloudinit.pm, CLOUDINIT_DISK_SIZE). */
const CLOUD_INIT_BYTES = 4 * 1024 ** 2;

/** Decides where the disks go and adds what speaks against it to the plan. */
export function planStorage(
  plan: PlannedRestore,
  wish: RestoreWish,
  around: Surroundings,
  settings: RestoreSettings,
): void {
  const map = mapFor(plan.kind, settings.storage ?? { disks: {} });
  if (plan.kind === "qemu") planDisks(plan, wish, map);
  else if (namesDisks(map)) planVolumes(plan, wish.config, map);
  else {
    const storage = map.others ?? containerStorage(plan, wish, around);
    // Without the archive's beginning at hand, pct restore takes no storage: it must be given each volume.
    if (plan.streams && storage !== undefined) planVolumes(plan, wish.config, { ...map, others: storage });
    else planOnOneStorage(plan, wish, storage);
  }
  for (const id of new Set([plan.storage, ...plan.disks.map((disk) => disk.storage)])) {
    if (id !== undefined) checkStorage(plan, id, around);
  }
}

/**
 * Refuses disks in the storage map that none of the archives holds. Those of the other kind of guest may be meant for
 * archives that come later, and only warn, unless nothing else in the map is of any use here.
 */
export function refuseUnknownDisks(plans: readonly PlannedRestore[], map: StorageMap | undefined): void {
  const held = new Set(plans.flatMap(({ disks }) => disks.map(({ key }) => key)));
  const [first] = plans;
  if (map === undefined || first === undefined) return;
  const unknown = Object.keys(map.disks).filter((key) => !held.has(key));
  const isOfUse = map.others !== undefined || unknown.length < Object.keys(map.disks).length;
  for (const key of unknown) {
    const own = plans.filter(({ kind }) => kind === kindOfDisk(key));
    if (own.length === 0 && isOfUse) {
      first.warnings.push(`no archive has a disk "${key}", which is to go to storage "${map.disks[key]}"`);
      continue;
    }
    for (const { refusals, disks } of own.length > 0 ? own : plans) {
      refusals.push({
        reason: `the archive has no disk "${key}", which is to go to storage "${map.disks[key]}"`,
        hint: disks.length > 0 ? `there are ${disks.map((disk) => disk.key).join(", ")}` : "it has no disks",
      });
    }
  }
}

/** qmrestore puts each disk where the archive says it was, and one without a hint on "local". */
function planDisks(plan: PlannedRestore, wish: RestoreWish, map: StorageMap): void {
  const storages = storagesToWrite(plan.kind, map);
  if (storages !== undefined) plan.storages = storages;
  else if (map.others !== undefined) plan.storage = map.others;
  for (const { key, size, storage: origin } of [...wish.disks, ...cloudInitDrives(wish)]) {
    const storage = storageFor(map, key) ?? origin;
    plan.disks.push({ key, size, storage });
    if (storage !== undefined) continue;
    plan.refusals.push({
      reason: `the archive does not say on which storage disk "${key}" was`,
      hint: "give one with --storage",
    });
  }
}

/** No backup holds a cloud-init drive, but qmrestore makes a new one where the old one was. */
function cloudInitDrives({ config }: RestoreWish): ArchiveDisk[] {
  return vmDisks(config).filter(({ type }) => type === "cloudinit").map(({ key, storage }) => ({
    key,
    size: CLOUD_INIT_BYTES,
    ...(storage === undefined ? {} : { storage }),
  }));
}

/** pct restore knows one storage for all volumes, and would take "local" by default, which holds no containers. */
function planOnOneStorage(plan: PlannedRestore, wish: RestoreWish, storage: string | undefined): void {
  if (storage !== undefined) plan.storage = storage;
  const empty = emptyVolumes(plan, wish.config);
  plan.disks.push(
    ...[...wish.disks, ...empty].map(({ key, size = 0, storage: origin }) => ({
      key,
      size,
      storage: storage ?? origin,
    })),
  );
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
  plan.warnings.push(
    `the disks have ${sizeText(needed)} in all, storage "${storage.id}" has ${
      sizeText(storage.available)
    } free`,
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
