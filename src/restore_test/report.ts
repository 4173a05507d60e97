import { type GuestKind, guestLabel } from "../core/guest.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { FORM_VERSION } from "../core/snapshot.ts";
import type { PlannedRestore } from "../restore/plan.ts";

/**
 * `passed`: the guest itself answered. `not-proven`: it was started and kept running, and nothing in it could be asked.
 * `restored`: a template, which is never started. `refused`: nothing was begun. `not-tested`: the run ended before.
 */
export type TestOutcome = "passed" | "not-proven" | "restored" | "failed" | "refused" | "not-tested";

/** What became of one archive. */
export interface TestedGuest {
  /** The vmid in the archive. */
  vmid?: number;
  /** The vmid that it was restored to for the test. */
  target: number;
  kind: GuestKind;
  name?: string;
  node: string;
  archive: string;
  snapshot?: string;
  outcome: TestOutcome;
  /** What was seen, or why it failed: a clause. */
  text: string;
  /** True where it failed because the archive is not whole. */
  damaged?: true;
  /** Seconds that the restore took, staging included. */
  restoreSeconds?: number;
  /** Seconds from the start until the guest answered, or was given up. */
  bootSeconds?: number;
  /** Keys of the configuration that were taken off, or changed, for the test. */
  without: string[];
  /** How the guest is removed that could not be removed: a clause. */
  left?: string;
  warnings: string[];
}

/** What a restore test did. */
export interface RestoreTestReport {
  version: typeof FORM_VERSION;
  run: string;
  started: string;
  finished: string;
  outcome: "good" | "partial" | "failed" | "interrupted";
  guests: TestedGuest[];
}

/** The entry of an archive that nothing was done for yet. */
export function emptyResult(plan: PlannedRestore): TestedGuest {
  const { archive, target, kind, name, node, warnings } = plan;
  return {
    ...(archive.vmid !== undefined ? { vmid: archive.vmid } : {}),
    target,
    kind,
    ...(name !== undefined ? { name } : {}),
    node,
    archive: archive.name,
    ...(archive.snapshot !== undefined ? { snapshot: archive.snapshot } : {}),
    outcome: "not-tested",
    text: "the run ended before",
    without: [],
    warnings: [...warnings],
  };
}

/** The entry of an archive whose beginning cannot be read. */
export function unreadResult(
  { vmid, kind, name, snapshot }: StoredArchive,
  place: Pick<TestedGuest, "target" | "node">,
  text: string,
): TestedGuest {
  return {
    ...(vmid !== undefined ? { vmid } : {}),
    ...place,
    kind,
    archive: name,
    ...(snapshot !== undefined ? { snapshot } : {}),
    outcome: "failed",
    text,
    damaged: true,
    without: [],
    warnings: [],
  };
}

/** Whether what was tested is known to be of use. */
export const isUsable = ({ outcome }: TestedGuest): boolean =>
  outcome === "passed" || outcome === "not-proven" || outcome === "restored";

const WORDS: Readonly<Record<TestOutcome, string>> = {
  passed: "passed",
  "not-proven": "started, not proven",
  restored: "restored",
  failed: "failed",
  refused: "refused",
  "not-tested": "not tested",
};

/** One line for people: `VM 101 "web": passed, the guest agent answered; restored in 3 s, booted in 12 s`. */
export function resultLine(guest: TestedGuest): string {
  const { outcome, text, restoreSeconds, bootSeconds, left } = guest;
  const times = [
    ...(restoreSeconds === undefined ? [] : [`restored in ${shown(restoreSeconds)}`]),
    ...(bootSeconds === undefined
      ? []
      : [`${outcome === "passed" ? "booted in" : "ran for"} ${shown(bootSeconds)}`]),
  ];
  const parts = [
    `${WORDS[outcome]}, ${text}`,
    ...(times.length > 0 ? [times.join(", ")] : []),
    ...(left === undefined ? [] : [left]),
  ];
  return `${subjectOf(guest)}: ${parts.join("; ")}`;
}

/** `VM 101 "web"`: the guest in the archive. */
export function subjectOf({ vmid, target, kind, name }: TestedGuest): string {
  const label = guestLabel({ vmid: vmid ?? target, kind });
  return name === undefined ? label : `${label} "${name}"`;
}

const shown = (seconds: number): string => `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;

/** What a run with these results is worth as a whole. */
export function outcomeOf(
  guests: readonly TestedGuest[],
  interrupted: boolean,
): RestoreTestReport["outcome"] {
  if (interrupted && guests.some(({ outcome }) => outcome === "not-tested")) return "interrupted";
  if (!guests.some(isUsable)) return "failed";
  return guests.every((guest) => isUsable(guest) && guest.left === undefined) ? "good" : "partial";
}
