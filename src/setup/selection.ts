import type { Selection } from "../backup/select.ts";
import type { GuestsOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import { isRemote } from "./where.ts";

/** The keys of which a selection names exactly one. */
export const SELECTION_KEYS = ["vmid", "pool", "tag", "name", "all"] as const;

/**
 * The selection that the options ask for.
 *
 * @throws {UserError} of kind `usage` unless exactly one way to select is given
 */
export function selectionOf(options: GuestsOptions): Selection {
  const given = SELECTION_KEYS.filter((key) => options[key] !== undefined && options[key] !== false);
  if (given.length !== 1) {
    const what = given.length === 0 ? "no guests are selected" : `${given.join(" and ")} are given together`;
    throw new UserError("usage", `Cannot select guests: ${what}`, {
      hint: `give exactly one of ${SELECTION_KEYS.map((key) => `--${key}`).join(", ")}`,
    });
  }
  return {
    vmids: options.vmid,
    pools: options.pool,
    tags: options.tag,
    names: options.name,
    all: options.all,
    exclude: options.exclude,
    // Whoever comes from another machine means the cluster, not the node that happens to be its door.
    node: options.node ?? (isRemote(options) ? "all" : undefined),
    kind: options.kind,
    status: options.status,
    templates: options.templates,
  };
}
