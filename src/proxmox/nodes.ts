import { UserError } from "../core/errors.ts";
import type { ProxmoxNode } from "./cluster.ts";

/** The nodes of a cluster, each reached when it is first asked for and then kept. */
export interface Nodes {
  /** The node by which the cluster was entered. */
  readonly entry: ProxmoxNode;
  /**
   * The node of this name.
   *
   * @throws {UserError} of kind `unreachable` when it cannot be reached or is not the node it should be
   */
  node(name: string): Promise<ProxmoxNode>;
  /** Lets go of all nodes. */
  close(): Promise<void>;
}

/**
 * Refuses a name that no node of the cluster has.
 *
 * @throws {UserError} of kind `usage`
 */
export function requireNode(entry: ProxmoxNode, name: string): void {
  if (entry.nodes.some((node) => node.name === name)) return;
  throw new UserError("usage", `Cannot find node "${name}" in the cluster`, {
    hint: `there are ${entry.nodes.map((node) => node.name).join(", ")}`,
  });
}

/** One node as all that can be reached of its cluster. */
export function singleNode(entry: ProxmoxNode): Nodes {
  return {
    entry,
    node: (name) =>
      name === entry.name ? Promise.resolve(entry) : Promise.reject(
        new UserError("unreachable", `Cannot reach node "${name}" from "${entry.name}"`, {
          hint: `run this on "${name}"`,
        }),
      ),
    close: () => Promise.resolve(),
  };
}
