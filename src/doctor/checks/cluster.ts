import { z } from "zod";
import { sizeText } from "../../core/units.ts";
import { reservedSpace } from "../../core/space.ts";
import type { ProxmoxNode } from "../../proxmox/cluster.ts";
import { pveshGet } from "../../proxmox/pvesh.ts";
import type { NodeCheck } from "../check.ts";
import { fine, note, problem, type Sighting, warning } from "../finding.ts";

const flagLike = z.union([z.number(), z.string(), z.boolean()]).transform((value) => Number(value) === 1);

const statusAnswer = z.array(z.looseObject({ type: z.string(), quorate: flagLike.optional() }));

/** Whether the cluster may write its configuration; a standalone node always may. */
export async function lookAtQuorum(entry: ProxmoxNode): Promise<Sighting[]> {
  const answer = await pveshGet(entry.runner, "/cluster/status", statusAnswer);
  const cluster = answer.find(({ type }) => type === "cluster");
  if (!cluster) return [fine("the node is in no cluster")];
  if (cluster.quorate) return [fine(`the cluster "${entry.clusterName ?? ""}" has quorum`)];
  return [
    problem(
      `the cluster "${
        entry.clusterName ?? ""
      }" has no quorum: /etc/pve is read-only, backups and restores fail`,
      'bring its nodes up again, see "pvecm status"',
    ),
  ];
}

const numberLike = z.union([z.number(), z.string()]).transform(Number);

const storagesAnswer = z.array(z.looseObject({
  storage: z.string(),
  content: z.string().default(""),
  enabled: flagLike.default(true),
  active: flagLike.default(false),
  total: numberLike.default(0),
  avail: numberLike.default(0),
}));

export const storages: NodeCheck = {
  name: "storages",
  async look({ node }) {
    const answer = await pveshGet(node.runner, `/nodes/${node.name}/storage`, storagesAnswer);
    const enabled = answer.filter((entry) => entry.enabled);
    const seen = enabled.map(storageSighting);
    for (const [content, what] of [["images", "VMs"], ["rootdir", "containers"]] as const) {
      const takes = enabled.some((entry) => entry.active && entry.content.split(",").includes(content));
      if (takes) continue;
      const text = `no active storage takes "${content}": ${what} cannot be restored on this node`;
      seen.push(warning(text, `add "${content}" to a storage's content types`));
    }
    return seen;
  },
};

function storageSighting({ storage, content, active, total, avail }: z.infer<typeof storagesAnswer>[number]) {
  const types = content.split(",").filter(Boolean).sort().join(", ") || "nothing";
  const name = `storage "${storage}" (${types})`;
  if (!active) return warning(`${name} is not active`, 'mount it, see "pvesm status", or disable it');
  const free = `${sizeText(avail)} of ${sizeText(total)} free`;
  const takesGuests = /\b(images|rootdir)\b/.test(content);
  if (takesGuests && avail < reservedSpace(total)) {
    return warning(
      `${name} is nearly full, ${free}: restores onto it fail`,
      "make room, or restore to another",
    );
  }
  if (total === 0) return note(`${name} does not tell its size`);
  return fine(`${name}: ${free}`);
}
