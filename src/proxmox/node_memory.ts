import { z } from "zod";
import type { ProxmoxNode } from "./cluster.ts";
import { pveshGet } from "./pvesh.ts";

const bytes = z.union([z.number(), z.string()]).transform(Number);

const statusAnswer = z.looseObject({
  memory: z.looseObject({ free: bytes, available: bytes.optional() }),
});

/** Bytes of memory that a new guest may take on the node. */
export async function freeMemory(node: ProxmoxNode): Promise<number> {
  const { memory } = await pveshGet(node.runner, `/nodes/${node.name}/status`, statusAnswer);
  // Only newer releases tell what caches would give back.
  return memory.available ?? memory.free;
}
