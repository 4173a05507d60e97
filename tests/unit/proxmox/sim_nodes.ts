import { UserError } from "../../../src/core/errors.ts";
import { connectNode, type ProxmoxNode } from "../../../src/proxmox/cluster.ts";
import type { Nodes } from "../../../src/proxmox/nodes.ts";
import { LocalRunner } from "../../../src/runner/local.ts";
import type { SimNode } from "../../pve/mod.ts";

/** The nodes of a simulated cluster, each reached by its own tools; one that is offline is not reached. */
export async function simNodes(sim: SimNode): Promise<Nodes> {
  const reached = new Map<string, Promise<ProxmoxNode>>();
  const node = (name: string) => {
    if (sim.state().nodes[name]?.online !== true) {
      return Promise.reject(new UserError("unreachable", `Cannot reach node "${name}": no route to host`));
    }
    const runner = () => new LocalRunner({ env: { PATH: sim.node(name).path } });
    const found = reached.get(name) ?? connectNode(runner());
    reached.set(name, found);
    return found;
  };
  return { entry: await node(sim.name), node, close: () => Promise.resolve() };
}
