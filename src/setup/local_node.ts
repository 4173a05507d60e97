import { connectNode, type ProxmoxNode } from "../proxmox/cluster.ts";
import { LocalRunner } from "../runner/local.ts";

/** The Proxmox node that this process runs on. */
export function openLocalNode(): Promise<ProxmoxNode> {
  return connectNode(new LocalRunner());
}

/** This machine, whether it is a Proxmox node or not. */
export function thisMachine(): LocalRunner {
  return new LocalRunner();
}
