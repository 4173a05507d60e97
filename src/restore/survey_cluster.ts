import type { Guest } from "../core/guest.ts";
import { mapBounded } from "../core/map_bounded.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { listMachines, pinnedMachine } from "../proxmox/machines.ts";
import { askNeighbour, type Neighbour, readNeighbours } from "../proxmox/neighbours.ts";
import type { Release } from "../proxmox/release.ts";
import type { RestoreSettings, RestoreWish, Standing, Surroundings } from "./plan.ts";
import { freeVmids } from "./targets.ts";

/** What a survey has found before it looks further. */
export interface Found {
  entry: ProxmoxNode;
  /** The nodes that are restored to, by name. */
  reached: ReadonlyMap<string, ProxmoxNode>;
  guests: readonly Guest[];
  standing: ReadonlyMap<number, Standing>;
  wishes: readonly RestoreWish[];
}

/** What the plan must know beyond the guests and nodes concerned. */
export type Beyond = Pick<Surroundings, "releases" | "machines" | "neighbours" | "free">;

/** Questions asked of a node at a time. */
const AT_ONCE = 4;

/** Looks at the rest of the cluster, as far as these wishes have to do with it. `avoid`: vmids that are spoken for. */
export async function lookBeyond(
  found: Found,
  { ifExists, unique }: Pick<RestoreSettings, "ifExists" | "unique">,
  avoid: Iterable<number>,
): Promise<Beyond> {
  const { entry, reached, wishes, standing } = found;
  const releases = new Map<string, Release>([...reached].map(([name, node]) => [name, node.release]));
  const copies = ifExists === "keep-copy"
    ? wishes.filter(({ target }) => target !== undefined && standing.has(target)).length
    : 0;
  const spokenFor = [...wishes.flatMap(({ target, archive }) => [target, archive.vmid]), ...avoid];
  const [machines, neighbours, free] = await Promise.all([
    machinesOf(found),
    neighboursOf(found, { unique }),
    copies === 0 ? [] : freeVmids(entry, copies, spokenFor),
  ]);
  return { releases, machines, neighbours, free };
}

/** Asked only where an archive is pinned to a machine type. */
async function machinesOf({ reached, wishes }: Found): Promise<Map<string, string[]>> {
  const machines = new Map<string, string[]>();
  if (!wishes.some(({ config }) => pinnedMachine(config.machine))) return machines;
  await mapBounded([...reached.values()], AT_ONCE, async (node) => {
    machines.set(node.name, await listMachines(node));
  });
  return machines;
}

/** Where the cluster filesystem cannot be read, each guest is asked that may have something in common with a restored one. */
async function neighboursOf(
  { entry, guests, standing, wishes }: Found,
  { unique }: Pick<RestoreSettings, "unique">,
): Promise<Map<number, Neighbour>> {
  const read = await readNeighbours(entry);
  if (read) return read;
  const asked = new Map<number, Neighbour>();
  const templates = wishes.map(({ target }) => standing.get(target ?? 0)).filter((there) =>
    there?.config.template === "1"
  ).map((there) => there?.guest.kind);
  const others = guests.filter(({ kind }) => unique !== "true" || templates.includes(kind));
  await mapBounded(others, AT_ONCE, async (guest) => {
    const neighbour = await askNeighbour(entry, guest).catch(() => undefined);
    if (neighbour) asked.set(guest.vmid, neighbour);
  });
  return asked;
}
