import { z } from "zod";
import type { ProxmoxNode } from "./cluster.ts";
import { pveshGet } from "./pvesh.ts";

const bytes = z.union([z.number(), z.string()]).transform(Number);

const statusAnswer = z.looseObject({
  memory: z.looseObject({ free: bytes, available: bytes.optional() }),
});

/** Bytes of memory that a new guest may take on the node. */
export async function freeMemory(node: ProxmoxNode): Promise<number> {
  const path = `/nodes/${node.name}/status`;
  const answer = await pveshGet(node.runner, path, statusAnswer).catch(() => undefined);
  // Only newer releases tell what caches would give back.
  return answer?.memory.available ?? answer?.memory.free ?? await availableByKernel(node);
}

/** As the kernel of the node tells (proc(5), /proc/meminfo). */
async function availableByKernel({ runner }: ProxmoxNode): Promise<number> {
  const { stdout } = await runner.run(["cat", "/proc/meminfo"]);
  return Number(/^MemAvailable: +(\d+) kB$/m.exec(stdout)?.[1] ?? 0) * 1024;
}
