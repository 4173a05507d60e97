import { guestLabel } from "../core/guest.ts";
import { sizeText } from "../core/units.ts";
import type { PlannedRestore } from "./plan.ts";
import { refusalSentences } from "./report.ts";

/** A plan for people: one block of lines per guest. */
export function planLines(plans: readonly PlannedRestore[]): string[] {
  const severalNodes = plans.some(({ node }) => node !== plans[0]?.node);
  return plans.flatMap((plan) => [
    `${label(plan)}  <-  ${plan.archive.name}${from(plan)}, ${sizeText(plan.archive.bytes)}`,
    ...facts(plan, severalNodes).map(([what, text]) => `    ${what.padEnd(9)} ${text}`),
  ]);
}

function label({ target, kind, name }: PlannedRestore): string {
  const guest = `${kind === "qemu" ? "VM" : "CT"} ${target === 0 ? "?" : target}`;
  return name === undefined ? guest : `${guest} "${name}"`;
}

function from({ archive }: PlannedRestore): string {
  return archive.snapshot === undefined ? "" : ` of snapshot ${archive.snapshot}`;
}

function facts(plan: PlannedRestore, severalNodes: boolean): [string, string][] {
  const lines: [string, string][] = [["target", targetText(plan, severalNodes)]];
  for (const { key, size, storage } of plan.disks) {
    lines.push([
      "disk",
      `${key}, ${size > 0 ? sizeText(size) : "size unknown"}, on storage ${storage ?? "?"}`,
    ]);
  }
  for (const [key, value] of Object.entries(plan.hostMounts ?? {})) lines.push(["mount", `${key}, ${value}`]);
  if (plan.streams) lines.push(["method", streamText(plan)]);
  else if (plan.storages && plan.compression !== "none") {
    lines.push(["staging", "decompressed, since the storages are written into the archive"]);
  }
  lines.push(...plan.space.map((space): [string, string] => ["space", spaceText(space)]));
  if (plan.copy) lines.push(["copy", copyText(plan, plan.copy)]);
  if (plan.ha) lines.push(["HA", haText(plan.ha)]);
  if (plan.pool !== undefined) lines.push(["pool", plan.pool]);
  if (plan.unique) lines.push(["network", "new MAC addresses"]);
  lines.push(...plan.destroys.map((what): [string, string] => ["destroys", what]));
  lines.push(
    ...plan.keeps.map((
      { key, volume },
    ): [string, string] => ["keeps", `${key} (${volume}) as an unused disk`]),
  );
  lines.push(...plan.warnings.map((text): [string, string] => ["warning", text]));
  lines.push(...refusalSentences(plan).map((text): [string, string] => ["REFUSED", text]));
  return lines;
}

function streamText({ action }: PlannedRestore): string {
  return action === "create"
    ? "streamed, nothing is staged; removed again unless the archive proves whole"
    : "STREAMED: what stands there is destroyed before the archive has been seen to its end";
}

function spaceText({ where, needed, free }: PlannedRestore["space"][number]): string {
  return `${where}: ${sizeText(needed)} needed, ${
    free === undefined ? "free space unknown" : `${sizeText(free)} free`
  }`;
}

function copyText({ kind }: PlannedRestore, { vmid, disks }: NonNullable<PlannedRestore["copy"]>): string {
  const what = disks.map(({ key }) => key).join(", ") || "no disks";
  const size = sizeText(disks.reduce((sum, disk) => sum + disk.size, 0));
  return `what stands there is kept as ${
    guestLabel({ vmid, kind })
  }, with ${what} (${size}), not started at boot`;
}

function haText({ requested, after }: NonNullable<PlannedRestore["ha"]>): string {
  if (requested !== "started") return `${requested}${after === requested ? "" : `, ${after} afterwards`}`;
  return `requested stopped meanwhile, ${after === "started" ? "started again" : "and left so"} afterwards`;
}

function targetText(
  { node, standing, stops, starts, action }: PlannedRestore,
  severalNodes: boolean,
): string {
  if (action === "create" || !standing) return `new on node ${node}${starts ? ", started afterwards" : ""}`;
  const { guest, status, same } = standing;
  const name = `${guest.kind === "qemu" ? "VM" : "CT"}${guest.name ? ` "${guest.name}"` : ""}`;
  const who = `${name} stands there${severalNodes ? ` on node ${node}` : ""}`;
  const steps = [...(stops ? ["is shut down"] : []), "is replaced", ...(starts ? ["is started again"] : [])];
  return `${who} (${status}, ${same ? "the same guest" : "ANOTHER guest"}) and ${steps.join(", ")}`;
}
