import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { type DumpSettings, requireSupported } from "../proxmox/vzdump.ts";
import { readVzdumpConf } from "../proxmox/vzdump_conf.ts";
import { requireUsable } from "../proxmox/work_dir.ts";

/** A node that guests can be dumped on. */
export interface DumpNode {
  node: ProxmoxNode;
  /** Its own defaults for vzdump: each node has a file of its own. */
  vzdumpConf: Record<string, string>;
}

/** The nodes that a run dumps on. Each is reached and looked at once; what speaks against it stays with it. */
export class DumpNodes {
  readonly #looks = new Map<string, Promise<DumpNode>>();

  constructor(
    private readonly nodes: Nodes,
    private readonly needs: { settings: DumpSettings; dumpDir: string },
  ) {}

  /**
   * The node of this name.
   *
   * @throws {UserError} of kind `unreachable`, or of kind `usage` when a setting or dumpDir cannot be used there
   */
  on(name: string): Promise<DumpNode> {
    const look = this.#looks.get(name) ?? this.#lookAt(name);
    this.#looks.set(name, look);
    return look;
  }

  async #lookAt(name: string): Promise<DumpNode> {
    const node = await this.nodes.node(name);
    requireSupported(this.needs.settings, node.release);
    await requireUsable(node, this.needs.dumpDir);
    return { node, vzdumpConf: await readVzdumpConf(node) };
  }
}
