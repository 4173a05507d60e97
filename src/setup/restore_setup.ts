import type { RestoreOptions } from "../config/options.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { UserError } from "../core/errors.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import { type Nodes, requireNode } from "../proxmox/nodes.ts";
import { planRestores } from "../restore/make_plan.ts";
import type { PlannedRestore, RestoreWish } from "../restore/plan.ts";
import { readWishes, survey } from "../restore/survey.ts";
import { targetRule } from "../restore/targets.ts";

/** Refuses options that name no guests or both ways of naming them. */
export function requireChoice(options: Pick<RestoreOptions, "vmid" | "all">): void {
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
  const wishes = await readWishes(nodes.entry, archives, targetRule(options), from);
  return await planOnNodes(nodes, wishes, options);
}

interface PlanOptions extends
  Pick<
    RestoreOptions,
    | "node"
    | "storage"
    | "pool"
    | "if_exists"
    | "destroy_excluded"
    | "start"
    | "unique"
    | "restore_method"
    | "dump_dir"
  > {
  /** Whether `if_exists` is more than a default; absent: it is unless it is that of the command line. */
  isIfExistsGiven?: boolean;
}

/** Plans restores of archives whose beginnings were read. `spokenFor`: vmids that no copy of a guest may take. */
export async function planOnNodes(
  nodes: Nodes,
  wishes: readonly RestoreWish[],
  options: PlanOptions,
  spokenFor: readonly number[] = [],
): Promise<PlannedRestore[]> {
  const method = options.restore_method;
  const asked = { ...options, ifExists: options.if_exists, method, dumpDir: options.dump_dir };
  return planRestores(wishes, await survey(nodes, wishes, asked, spokenFor), {
    node: options.node,
    storage: options.storage,
    pool: options.pool,
    ifExists: options.if_exists,
    isIfExistsGiven: options.isIfExistsGiven ?? options.if_exists !== "refuse",
    destroyExcluded: options.destroy_excluded,
    start: options.start,
    unique: options.unique,
    method,
  });
}
