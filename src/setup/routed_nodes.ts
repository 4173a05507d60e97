import { messageOf, UserError } from "../core/errors.ts";
import type { ClusterNode, ProxmoxNode } from "../proxmox/cluster.ts";
import type { Nodes } from "../proxmox/nodes.ts";

/** A node at hand, and how to let go of it. */
export interface ReachedNode {
  node: ProxmoxNode;
  close(): Promise<void>;
}

/** One way to the other nodes of a cluster. */
export interface Route {
  /** How it goes: `directly`, `through root@pve1`. */
  readonly how: string;
  open(target: ClusterNode): Promise<ReachedNode>;
}

/** The nodes of the entry node's cluster, each reached by the first route that leads to it. */
export class RoutedNodes implements Nodes {
  readonly #reached = new Map<string, Promise<ReachedNode>>();

  constructor(private readonly way: ReachedNode, private readonly routes: readonly Route[]) {}

  get entry(): ProxmoxNode {
    return this.way.node;
  }

  async node(name: string): Promise<ProxmoxNode> {
    if (name === this.entry.name) return this.entry;
    const known = this.#reached.get(name);
    if (known) return (await known).node;
    const opening = this.#open(this.#find(name));
    this.#reached.set(name, opening);
    // Whoever asks again may find it up.
    opening.catch(() => this.#reached.delete(name));
    return (await opening).node;
  }

  async close(): Promise<void> {
    const others = await Promise.allSettled(this.#reached.values());
    this.#reached.clear();
    const open = others.flatMap((other) => other.status === "fulfilled" ? [other.value] : []);
    await Promise.all(open.map((reached) => reached.close()));
    await this.way.close();
  }

  #find(name: string): ClusterNode {
    const target = this.entry.nodes.find((node) => node.name === name);
    if (!target) throw unreachable(name, `node "${this.entry.name}" knows no such node in its cluster`);
    if (!target.online) throw unreachable(name, `node "${this.entry.name}" reports it as offline`);
    return target;
  }

  async #open(target: ClusterNode): Promise<ReachedNode> {
    const failures: { text: string; error: unknown }[] = [];
    for (const route of this.routes) {
      try {
        return await openChecked(route, target);
      } catch (error) {
        failures.push({ text: `${route.how}: ${messageOf(error)}`, error });
      }
    }
    throw unreachable(target.name, failures.map(({ text }) => text).join("; "), failures.at(-1)?.error);
  }
}

/** Opens a node and makes sure that it is the right one: its archives would carry the wrong name for ever. */
async function openChecked(route: Route, target: ClusterNode): Promise<ReachedNode> {
  const reached = await route.open(target);
  if (reached.node.name === target.name) return reached;
  await reached.close();
  const { name, runner } = reached.node;
  throw new UserError("unreachable", `"${runner.label}" is the node "${name}"`);
}

function unreachable(name: string, why: string, cause?: unknown): UserError {
  return new UserError("unreachable", `Cannot reach node "${name}": ${why}`, { cause });
}
