import { vmDisks } from "../archive/guest_volumes.ts";
import { readableWord } from "../core/shell_words.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import type { PlannedRestore } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { findTarget, lookAt } from "./standing.ts";

/**
 * Writes down how the disks that the archive does not hold are attached again: qmrestore keeps them as `unusedN`,
 * without the options that they had (qemu-server's QemuServer.pm, restore_cleanup_oldconf and rescan).
 */
export async function tellKept(plan: PlannedRestore, entry: RestoredGuest, node: ProxmoxNode): Promise<void> {
  if (plan.keeps.length === 0) return;
  const guest = await findTarget(plan, node).catch(() => undefined);
  const now = guest && await lookAt(node, guest).catch(() => undefined);
  const volumes = new Set(vmDisks(now?.config ?? {}).map(({ volume }) => volume));
  for (const { key, volume, value } of plan.keeps) {
    if (now && !volumes.has(volume)) {
      entry.warnings.push(
        `${key} (${volume}) should have been kept, but the guest does not list it any more`,
      );
      continue;
    }
    const command = attachCommand(plan.target, key, value);
    (entry.kept ??= []).push({ key, volume, command });
    entry.warnings.push(
      `${key} is not in the archive and was kept as an unused disk; to attach it: ${command}`,
    );
  }
}

function attachCommand(vmid: number, key: string, value: string): string {
  return `qm set ${vmid} --${key} ${readableWord(value)}`;
}
