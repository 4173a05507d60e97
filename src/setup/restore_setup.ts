import type { RestoreOptions } from "../config/options.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { UserError } from "../core/errors.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import { type Nodes, requireNode } from "../proxmox/nodes.ts";
import { planRestores } from "../restore/make_plan.ts";
import type { PlannedRestore, RestoreWish } from "../restore/plan.ts";
import { readWishes, survey } from "../restore/survey.ts";

/** Refuses options that name no guests or both ways of naming them. */
export function requireChoice(options: RestoreOptions): void {
  if ((options.vmid !== undefined) === (options.all === true)) {
    const what = options.all ? "vmid and all are given together" : "no guests are named";
    throw new UserError("usage", `Cannot restore: ${what}`, { hint: "give either --vmid or --all" });
  }
}

/** Plans the restore of `archives` as the options ask. */
export async function planFromOptions(
  nodes: Nodes,
  archives: readonly StoredArchive[],
  options: RestoreOptions,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<PlannedRestore[]> {
  if (options.node !== undefined) requireNode(nodes.entry, options.node);
  return await planOnNodes(nodes, await readWishes(nodes.entry, archives, options.newid, from), options);
}

type PlanOptions = Pick<
  RestoreOptions,
  "node" | "storage" | "pool" | "if_exists" | "destroy_excluded" | "start" | "unique"
>;

/** Plans restores of archives whose beginnings were read. */
export async function planOnNodes(
  nodes: Nodes,
  wishes: readonly RestoreWish[],
  options: PlanOptions,
): Promise<PlannedRestore[]> {
  return planRestores(wishes, await survey(nodes, wishes, options), {
    node: options.node,
    storage: options.storage,
    pool: options.pool,
    ifExists: options.if_exists,
    destroyExcluded: options.destroy_excluded,
    start: options.start,
    unique: options.unique,
  });
}
