import type { Guest } from "../core/guest.ts";
import type { GuestReport, Manifest, Report } from "../core/snapshot.ts";
import type { DumpResult } from "./dump_guest.ts";
import { explainFailed, explainLeftOut, type NotTaken, type Selected } from "./select.ts";

/** A guest of which nothing is to be told yet. */
export function emptyReport(guest: Guest, manifest: Manifest): Omit<GuestReport, "outcome"> {
  const notHeld = manifest.guests.find(({ vmid }) => vmid === guest.vmid)?.notHeld ?? [];
  const { vmid, kind, name, node } = guest;
  const label = { vmid, kind, ...(name !== undefined ? { name } : {}), node };
  return { ...label, bytes: 0, seconds: 0, warnings: [], notHeld };
}

/** What became of a guest's dump. */
export function dumpReport(
  empty: Omit<GuestReport, "outcome">,
  { archive, error, bytes, warnings, log }: DumpResult,
  seconds: number,
): GuestReport {
  return {
    ...empty,
    outcome: archive ? "good" : "failed",
    ...(error !== undefined ? { error } : {}),
    ...(archive ? { archive } : {}),
    bytes,
    seconds,
    warnings,
    log,
  };
}

/** The guests that the selection could not take. */
export function notTakenReports({ failed, leftOut }: Selected, manifest: Manifest): GuestReport[] {
  const report = ({ vmid, guest }: NotTaken, outcome: "failed" | "left-out", error: string): GuestReport => ({
    ...(guest ? emptyReport(guest, manifest) : { vmid, bytes: 0, seconds: 0, warnings: [], notHeld: [] }),
    outcome,
    error,
  });
  return [
    ...failed.map((entry) => report(entry, "failed", explainFailed(entry))),
    ...leftOut.map((entry) => report(entry, "left-out", explainLeftOut(entry))),
  ];
}

/** What the run as a whole has come to. */
export function outcomeOf(
  guests: readonly GuestReport[],
  run: { interrupted: boolean; onError: "continue" | "fail" },
): Report["outcome"] {
  const count = (outcome: GuestReport["outcome"]) =>
    guests.filter((guest) => guest.outcome === outcome).length;
  const good = count("good");
  if (run.interrupted && good < guests.length) return "interrupted";
  if (good === 0 || (run.onError === "fail" && count("failed") > 0)) return "failed";
  return good === guests.length ? "good" : "partial";
}
