import { guestIdentity, sameGuest } from "../archive/guest_config.ts";
import { ctVolumes, vmDisks } from "../archive/guest_volumes.ts";
import { guestLabel } from "../core/guest.ts";
import { planAge } from "./plan_age.ts";
import { planCopies } from "./plan_copy.ts";
import { planHa } from "./plan_ha.ts";
import { planMethod } from "./plan_method.ts";
import { refuseLinkedClones, warnOfSharing } from "./plan_neighbours.ts";
import { planSpace } from "./plan_space.ts";
import { planStorage, refuseUnknownDisks } from "./plan_storage.ts";
import { targetNode } from "./targets.ts";
import type { PlannedRestore, RestoreSettings, RestoreWish, Standing, Surroundings } from "./plan.ts";

/**
 * Plans each restore: what stands there, what will be stopped, overwritten and kept, and why not if not.
 * Pure: all it knows is in its arguments.
 */
export function planRestores(
  wishes: readonly RestoreWish[],
  around: Surroundings,
  settings: RestoreSettings,
): PlannedRestore[] {
  const plans = wishes.map((wish) => planOne(wish, around, settings));
  const readable = plans.filter(({ node, damaged }) => !damaged && !around.unreachable.has(node));
  refuseUnknownDisks(readable, settings.storage);
  for (const plan of plans) {
    const rivals = plans.filter((other) => other.target === plan.target && plan.target !== 0);
    if (rivals.length > 1) {
      plan.refusals.push({
        reason: `${rivals.length} archives are to be restored to vmid ${plan.target}`,
        hint: "restore them one at a time with --newid",
      });
    }
  }
  if (settings.ifExists === "keep-copy") planCopies(plans, around);
  for (const [index, wish] of wishes.entries()) {
    if (wish.damage === undefined) planSpace(plans[index] as PlannedRestore, wish, around);
  }
  return plans;
}

function planOne(wish: RestoreWish, around: Surroundings, settings: RestoreSettings): PlannedRestore {
  const { archive, config } = wish;
  const { kind } = archive;
  const name = kind === "qemu" ? config.name : config.hostname;
  const target = wish.target ?? 0;
  const found = around.standing.get(target);
  const standing = found ? { ...found, same: isSame(wish, found) } : undefined;
  const wasRunning = standing !== undefined && standing.status !== "stopped";
  const plan: PlannedRestore = {
    archive,
    compression: wish.compression,
    kind,
    ...(name !== undefined ? { name } : {}),
    target,
    node: targetNode(found, around, settings),
    action: standing ? "replace" : "create",
    ...(standing ? { standing } : {}),
    stops: wasRunning,
    starts: config.template !== "1" &&
      (settings.start === "always" || (settings.start === "as-before" && wasRunning)),
    unique: isUnique(wish, around, settings),
    streams: false,
    disks: [],
    space: [],
    destroys: [],
    keeps: [],
    warnings: [],
    refusals: [],
  };
  if (wish.target === undefined) {
    plan.refusals.push({ reason: "its name does not tell a vmid", hint: "give one with --newid" });
  }
  const unreachable = around.unreachable.get(plan.node);
  if (unreachable !== undefined) {
    const where = standing ? `it lives on node "${plan.node}", which` : `node "${plan.node}"`;
    plan.refusals.push({ reason: `${where} cannot be used: ${unreachable}` });
    return plan;
  }
  if (wish.damage !== undefined) {
    plan.damaged = true;
    plan.refusals.push({
      reason: `its archive "${archive.name}" is damaged: ${wish.damage}`,
      ...(archive.snapshot === undefined ? {} : { hint: "take an older snapshot with --snapshot" }),
    });
    return plan;
  }
  planMethod(plan, wish, around, settings);
  planStorage(plan, wish, around, settings);
  planPool(plan, around, settings);
  planAge(plan, wish, around);
  warnOfSharing(plan, wish, around, originalOf(wish, around));
  if (standing) planReplace(plan, standing, wish, around, settings);
  return plan;
}

function isSame(wish: RestoreWish, standing: Standing): boolean {
  const { kind } = wish.archive;
  return standing.guest.kind === kind &&
    sameGuest(kind, guestIdentity(kind, wish.config), guestIdentity(kind, standing.config));
}

/** New MACs are wanted where the original goes on to live under its own vmid. */
function isUnique(wish: RestoreWish, around: Surroundings, settings: RestoreSettings): boolean {
  if (settings.unique !== "auto") return settings.unique === "true";
  const original = originalOf(wish, around);
  return original !== undefined && original !== wish.target;
}

/** The vmid of the guest that the archive was taken from, if it stands under it still. */
function originalOf(wish: RestoreWish, around: Surroundings): number | undefined {
  const there = around.standing.get(wish.archive.vmid ?? 0);
  return there && isSame(wish, there) ? there.guest.vmid : undefined;
}

/** A guest that is replaced stays in its pool; a new one goes where it was, if that pool is still there. */
function planPool(plan: PlannedRestore, { pools }: Surroundings, settings: RestoreSettings): void {
  const pool = settings.pool ?? (plan.action === "create" ? plan.archive.pool : undefined);
  if (pool === undefined) return;
  if (pools.includes(pool)) plan.pool = pool;
  else if (settings.pool === undefined) {
    plan.warnings.push(`it was in pool "${pool}", which does not exist here, and comes back into none`);
  } else {
    plan.refusals.push({
      reason: `pool "${pool}" does not exist`,
      hint: pools.length > 0 ? `there are ${pools.join(", ")}` : "the cluster has no pools",
    });
  }
}

function planReplace(
  plan: PlannedRestore,
  standing: Standing & { same: boolean },
  wish: RestoreWish,
  around: Surroundings,
  settings: RestoreSettings,
): void {
  const { guest } = standing;
  const refuse = (reason: string, hint?: string) => plan.refusals.push({ reason, ...(hint ? { hint } : {}) });
  const there = `${guestLabel(guest)}${guest.name ? ` "${guest.name}"` : ""}`;

  if (guest.kind !== plan.kind) {
    return void refuse(
      `vmid ${plan.target} belongs to ${there}, a guest of the other kind`,
      "pass --newid next",
    );
  }
  if (settings.node !== undefined && settings.node !== plan.node) {
    plan.warnings.push(`it is restored on node "${plan.node}", where it lives, not on "${settings.node}"`);
  }
  refuseByPolicy(standing, plan, settings, refuse);
  if (standing.config.protection === "1") {
    refuse(
      "it is protected",
      `take the protection off first: ${toolOf(plan)} set ${plan.target} --protection 0`,
    );
  }
  const lock = standing.config.lock ?? guest.lock;
  if (lock !== undefined) {
    refuse(
      `it is locked (${lock})`,
      `wait, or if nothing works on it: ${toolOf(plan)} unlock ${plan.target}`,
    );
  }
  if (standing.config.template === "1") refuseLinkedClones(plan, around);
  planHa(plan, standing, settings, wish.config.template === "1");
  planLosses(plan, standing, wish, settings);
  if (plan.destroys.length > 0 && !settings.destroyExcluded) {
    refuse(`the archive does not hold ${plan.destroys.join(", ")}`, "pass --destroy-excluded to lose that");
  }
}

const toolOf = (plan: PlannedRestore): string => plan.kind === "qemu" ? "qm" : "pct";

function refuseByPolicy(
  standing: Standing & { same: boolean },
  plan: PlannedRestore,
  { ifExists }: RestoreSettings,
  refuse: (reason: string, hint?: string) => void,
): void {
  if (ifExists === "replace" || ifExists === "keep-copy") return;
  const state = standing.status === "stopped" ? "exists" : `is ${standing.status}`;
  if (ifExists === "refuse") {
    const verb = standing.status === "stopped" ? "replace it" : "stop and replace it";
    refuse(`it ${state} on node "${plan.node}"`, `pass --force to ${verb}, or --newid next for another vmid`);
    return;
  }
  if (!standing.same) {
    const name = standing.guest.name ?? "";
    refuse(
      `the guest that stands there, "${name}", is not the one in the archive`,
      "pass --if-exists replace to replace it all the same, or --newid next",
    );
  } else if (ifExists === "replace-stopped" && standing.status !== "stopped") {
    refuse(`it is ${standing.status}`, "stop it first, or pass --if-exists replace-same");
  }
}

/**
 * What of the standing guest the archive does not hold. qmrestore drops all snapshots and keeps other disks as
 * unusedN; pct restore frees every volume of the old container, mount points without backup=1 and unusedN too.
 * A copy that is kept has all but the snapshots and what is attached to nothing.
 */
function planLosses(
  plan: PlannedRestore,
  standing: Standing,
  wish: RestoreWish,
  { ifExists }: RestoreSettings,
): void {
  plan.destroys.push(...standing.snapshots.map((name) => `snapshot "${name}"`));
  const held = new Set(wish.disks.map((disk) => disk.key));
  if (plan.kind === "qemu") {
    const others = vmDisks(standing.config).filter((disk) => disk.type === "disk" && !held.has(disk.key));
    plan.keeps.push(
      ...others.map(({ key, volume }) => ({ key, volume, value: standing.config[key] as string })),
    );
    return;
  }
  const volumes = ctVolumes(standing.config).filter(({ key, type }) =>
    type === "unused" || (type === "volume" && !held.has(key) && ifExists !== "keep-copy")
  );
  plan.destroys.push(...volumes.map((volume) => `${volume.key} (${volume.volume}${sizeText(volume.size)})`));
}

function sizeText(bytes: number | undefined): string {
  return bytes ? `, ${Math.round(bytes / 1024 ** 2)} MiB` : "";
}
