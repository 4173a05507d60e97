import { type GuestKind, guestLabel } from "../core/guest.ts";
import type { FORM_VERSION } from "../core/snapshot.ts";
import type { GuestFiles } from "../proxmox/guest_record.ts";
import type { HaRequest } from "../proxmox/ha.ts";
import type { PlannedRestore } from "./plan.ts";

/** What became of one guest. */
export interface RestoredGuest {
  /** The vmid in the archive. */
  vmid?: number;
  target: number;
  kind: GuestKind;
  name?: string;
  /** The node that it was restored on, or was to be. */
  node: string;
  archive: string;
  snapshot?: string;
  /** `not-running`: restored whole, but its start failed. `refused`: by the plan. `not-started`: the run ended before. */
  outcome: "good" | "not-running" | "failed" | "refused" | "not-started";
  error?: string;
  /** True where it failed because the archive is not whole or not what was recorded. */
  damaged?: true;
  /** True where the run was stopped while it was streamed. */
  interrupted?: true;
  /** What the guest that stood there was, taken before anything was changed. */
  replaced?: GuestFiles & { status: string; ha?: HaRequest };
  /** The full copy of that guest, which stays whatever becomes of the restore. */
  copy?: { vmid: number; kind: GuestKind; node: string };
  /** Disks of that guest which the archive does not hold and Proxmox kept, with the command that attaches each again. */
  kept?: { key: string; volume: string; command: string }[];
  bytes: number;
  seconds: number;
  warnings: string[];
  /** The last of the restore tool's log. */
  log?: string;
}

/** What a restore did. */
export interface RestoreReport {
  version: typeof FORM_VERSION;
  run: string;
  started: string;
  finished?: string;
  /** The node by which the cluster was entered. */
  node: string;
  outcome?: "good" | "partial" | "failed" | "interrupted";
  /** Why this report could not be kept. */
  unsaved?: string;
  guests: RestoredGuest[];
}

/** The entry of a guest that nothing was done for yet. */
export function emptyEntry(plan: PlannedRestore, outcome: RestoredGuest["outcome"]): RestoredGuest {
  const { archive, target, kind, name, node, warnings } = plan;
  return {
    ...(archive.vmid !== undefined ? { vmid: archive.vmid } : {}),
    target,
    kind,
    ...(name !== undefined ? { name } : {}),
    node,
    archive: archive.name,
    ...(archive.snapshot !== undefined ? { snapshot: archive.snapshot } : {}),
    outcome,
    bytes: 0,
    seconds: 0,
    warnings: [...warnings],
  };
}

/** What people must know of a restore that is over, and the plan did not tell, a sentence each. */
export function afterwords({ warnings }: PlannedRestore, entry: RestoredGuest): string[] {
  const label = guestLabel({ vmid: entry.target, kind: entry.kind });
  const { copy } = entry;
  return [
    ...(copy
      ? [`${label}: ${guestLabel(copy)} on node "${copy.node}" is a full copy of the guest that stood there`]
      : []),
    ...entry.warnings.filter((warning) => !warnings.includes(warning)).map((warning) =>
      `${label}: ${warning}`
    ),
  ];
}

/** Why a plan is refused, one sentence per reason. */
export function refusalSentences(plan: PlannedRestore): string[] {
  const label = plan.target === 0
    ? `"${plan.archive.name}"`
    : `${plan.kind === "qemu" ? "VM" : "CT"} ${plan.target}`;
  return plan.refusals.map(({ reason, hint }) =>
    `Cannot restore ${label}: ${reason}${hint ? `; ${hint}` : ""}`
  );
}
