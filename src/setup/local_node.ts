import { UserError } from "../core/errors.ts";
import { connectNode, type ProxmoxNode } from "../proxmox/cluster.ts";
import { LocalRunner } from "../runner/local.ts";

/** The Proxmox node that this process runs on. */
export function openLocalNode(): Promise<ProxmoxNode> {
  return connectNode(new LocalRunner());
}

/**
 * Finds out whether the node answers and its tools are there, without doing anything.
 *
 * @throws {UserError} of kind `unreachable` saying what is missing
 */
export async function connectLocalTools(...tools: readonly string[]): Promise<void> {
  const node = await openLocalNode();
  for (const tool of tools) {
    if (await node.runner.hasTool(tool)) continue;
    throw new UserError(
      "unreachable",
      `Cannot use Proxmox VE on ${node.runner.label}: "${tool}" is not installed`,
    );
  }
}

/** This machine, whether it is a Proxmox node or not. */
export function thisMachine(): LocalRunner {
  return new LocalRunner();
}
