import { messageOf, UserError } from "../core/errors.ts";
import { FORM_VERSION } from "../core/snapshot.ts";
import { openWorkDir } from "../proxmox/work_dir.ts";
import type { PlannedRestore } from "./plan.ts";
import { emptyEntry, refusalSentences, type RestoredGuest, type RestoreReport } from "./report.ts";
import { requireShortPath, type RestoreContext, restoreGuest } from "./restore_guest.ts";

export interface RestoreRun extends Omit<RestoreContext, "workDir" | "save"> {
  runId: string;
  /** Directory on the node under which the run makes its own. */
  dumpDir: string;
  /** False keeps the staged archives. */
  cleanup: boolean;
  now: () => Date;
  /** Keeps the report; called before each replace and at the end. */
  save: (report: RestoreReport) => Promise<void>;
}

/**
 * Carries out an accepted plan, one guest after the other. What the plan refuses is left out; a guest's failure
 * is its own. A restore tool that runs is never interrupted: a stop takes effect before the next guest.
 */
export async function restore(plans: readonly PlannedRestore[], run: RestoreRun): Promise<RestoreReport> {
  const { node, now, listen, stop } = run;
  const entries = plans.map((plan) => emptyEntry(plan, "not-started"));
  const report: RestoreReport = {
    version: FORM_VERSION,
    run: run.runId,
    started: now().toISOString(),
    node: node.name,
    guests: entries,
  };
  const workDir = await openWorkDir(node, run.dumpDir, run.runId, 0o700);
  try {
    for (const plan of plans) requireShortPath(workDir.path, plan);
    const context: RestoreContext = { ...run, workDir, save: () => run.save(report) };
    for (const [index, plan] of plans.entries()) {
      const entry = entries[index] as RestoredGuest;
      const label = {
        vmid: plan.target,
        kind: plan.kind,
        ...(plan.name !== undefined ? { name: plan.name } : {}),
      };
      const begin = now();
      if (plan.refusals.length > 0) {
        entry.outcome = "refused";
        entry.error = refusalSentences(plan).join("; ");
      } else if (!stop.aborted) {
        listen({ type: "guest-started", ...label, index, total: plans.length });
        await restoreOne(plan, entry, context);
        if (run.cleanup) await workDir.removeDir(String(plan.target));
        entry.seconds = (now().getTime() - begin.getTime()) / 1000;
      } else continue;
      const { bytes, seconds } = entry;
      listen({
        type: "guest-finished",
        ...label,
        good: entry.outcome === "good",
        bytes,
        seconds,
        text: entry.error ?? "",
      });
    }
    report.finished = now().toISOString();
    report.outcome = outcomeOf(entries, stop.aborted);
    await run.save(report);
    return report;
  } finally {
    await workDir.close(!run.cleanup);
  }
}

async function restoreOne(
  plan: PlannedRestore,
  entry: RestoredGuest,
  context: RestoreContext,
): Promise<void> {
  try {
    entry.outcome = "good";
    await restoreGuest(plan, entry, context);
  } catch (error) {
    entry.outcome = context.stop.aborted && error === context.stop.reason ? "not-started" : "failed";
    entry.error = messageOf(error);
    if (error instanceof UserError && error.kind === "damage") entry.damaged = true;
  }
}

function outcomeOf(
  entries: readonly RestoredGuest[],
  interrupted: boolean,
): NonNullable<RestoreReport["outcome"]> {
  const usable =
    entries.filter((entry) => entry.outcome === "good" || entry.outcome === "not-running").length;
  if (interrupted && entries.some((entry) => entry.outcome === "not-started")) return "interrupted";
  if (usable === 0) return "failed";
  return entries.every((entry) => entry.outcome === "good") ? "good" : "partial";
}
