import { z } from "zod";
import type { ProxmoxNode } from "./cluster.ts";
import { pveshGet } from "./pvesh.ts";

const machinesAnswer = z.array(z.looseObject({ id: z.string() }));

/** `pc-q35-9.2`: the machine type with its QEMU version in a VM's `machine` line, if it is pinned to one. */
export function pinnedMachine(machine: string | undefined): string | undefined {
  return /\bpc-(?:i440fx|q35)-\d+\.\d+/.exec(machine ?? "")?.[0];
}

/** The machine types that the QEMU of this node knows; none where it does not tell. */
export async function listMachines(node: ProxmoxNode): Promise<string[]> {
  const path = `/nodes/${node.name}/capabilities/qemu/machines`;
  const machines = await pveshGet(node.runner, path, machinesAnswer).catch(() => []);
  return machines.map(({ id }) => id);
}
