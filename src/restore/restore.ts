import { messageOf, UserError } from "../core/errors.ts";
import { FORM_VERSION } from "../core/snapshot.ts";
import { leftoverNote } from "../proxmox/leftovers.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { makeWorkDir, requireUsable, type WorkDir, workDirPath } from "../proxmox/work_dir.ts";
import type { PlannedRestore } from "./plan.ts";
import {
  afterwords,
  emptyEntry,
  refusalSentences,
  type RestoredGuest,
  type RestoreReport,
} from "./report.ts";
import type { RestoreContext } from "./context.ts";
import { requireShortPath, restoreGuest } from "./restore_guest.ts";
import { labelOf } from "./standing.ts";
import { streamGuest } from "./stream_guest.ts";

export interface RestoreRun extends Omit<RestoreContext, "node" | "workDir" | "save"> {
  nodes: Nodes;
  runId: string;
  /** Directory on each node under which the run makes its own. */
  dumpDir: string;
  /** False keeps the staged archives. */
  cleanup: boolean;
  now: () => Date;
  /** Keeps the report; called before each replace and at the end. */
  save: (report: RestoreReport) => Promise<void>;
}

/**
 * Carries out an accepted plan, one guest after the other, each on the node of its plan. What the plan refuses is
 * left out; a guest's failure is its own. A restore tool that runs on a staged archive is never interrupted: a stop
 * takes effect before the next guest. A stream is ended by it.
 */
export async function restore(plans: readonly PlannedRestore[], run: RestoreRun): Promise<RestoreReport> {
  const { now, stop } = run;
  const entries = plans.map((plan) => emptyEntry(plan, "not-started"));
  const report: RestoreReport = {
    version: FORM_VERSION,
    run: run.runId,
    started: now().toISOString(),
    node: run.nodes.entry.name,
    guests: entries,
  };
  await requireWorkPlaces(plans, run);
  for (const [index, plan] of plans.entries()) {
    const entry = entries[index] as RestoredGuest;
    if (plan.refusals.length > 0) {
      entry.outcome = "refused";
      entry.error = refusalSentences(plan).join("; ");
      if (plan.damaged) entry.damaged = true;
    } else if (!stop.aborted) {
      const begin = now();
      run.listen({ type: "guest-started", ...eventLabel(plan, plans), index, total: plans.length });
      await restoreOne(plan, entry, run, () => run.save(report));
      for (const text of afterwords(plan, entry)) run.listen({ type: "note", text });
      entry.seconds = (now().getTime() - begin.getTime()) / 1000;
    } else continue;
    const { bytes, seconds, outcome, error = "" } = entry;
    const good = outcome === "good";
    run.listen({ type: "guest-finished", ...eventLabel(plan, plans), good, bytes, seconds, text: error });
  }
  report.finished = now().toISOString();
  report.outcome = outcomeOf(entries, stop.aborted);
  // What has become of the guests must be told all the same.
  await run.save(report).catch((error) => report.unsaved = messageOf(error));
  return report;
}

/** Refuses a dump directory that a node cannot use, before anything is begun on any of them. */
async function requireWorkPlaces(plans: readonly PlannedRestore[], run: RestoreRun): Promise<void> {
  const accepted = plans.filter((plan) => plan.refusals.length === 0);
  for (const plan of accepted) requireShortPath(workDirPath(run.dumpDir, workDirId(plan, run)));
  for (const name of new Set(accepted.map((plan) => plan.node))) {
    const node = await run.nodes.node(name);
    await requireUsable(node, run.dumpDir);
    const text = await leftoverNote(node, run.dumpDir);
    if (text !== undefined) run.listen({ type: "note", text });
  }
}

const workDirId = (plan: PlannedRestore, run: RestoreRun): string => `${run.runId}-${plan.target}`;

/** Restores one guest in a working directory of its own: what guards one takes a lost connection for our death. */
async function restoreOne(
  plan: PlannedRestore,
  entry: RestoredGuest,
  run: RestoreRun,
  save: () => Promise<void>,
): Promise<void> {
  let workDir: WorkDir | undefined;
  try {
    entry.outcome = "good";
    const { node, ...place } = await openPlace(plan, run);
    workDir = place.workDir;
    const restoreIt = plan.streams ? streamGuest : restoreGuest;
    await restoreIt(plan, entry, { ...run, node, workDir, save });
  } catch (error) {
    entry.outcome = run.stop.aborted && error === run.stop.reason ? "not-started" : "failed";
    entry.error = messageOf(error);
    if (error instanceof UserError && error.kind === "damage") entry.damaged = true;
  }
  await workDir?.close(!run.cleanup && !plan.streams).catch((error) =>
    entry.warnings.push(`its working directory may be left on node "${plan.node}": ${messageOf(error)}`)
  );
}

async function openPlace(plan: PlannedRestore, run: RestoreRun) {
  try {
    const node = await run.nodes.node(plan.node);
    return { node, workDir: await makeWorkDir(node, run.dumpDir, workDirId(plan, run), 0o700) };
  } catch (cause) {
    throw new UserError("failed", `Cannot restore ${labelOf(plan)}: ${messageOf(cause)}`, {
      hint: "nothing was changed",
      cause,
    });
  }
}

/** What names a guest in events; its node where they go to several. */
function eventLabel({ target, kind, name, node }: PlannedRestore, plans: readonly PlannedRestore[]) {
  const severalNodes = plans.some((plan) => plan.node !== node);
  return {
    vmid: target,
    kind,
    ...(name !== undefined ? { name } : {}),
    ...(severalNodes ? { node } : {}),
  };
}

function outcomeOf(
  entries: readonly RestoredGuest[],
  interrupted: boolean,
): NonNullable<RestoreReport["outcome"]> {
  const usable =
    entries.filter((entry) => entry.outcome === "good" || entry.outcome === "not-running").length;
  const isCut = entries.some((entry) => entry.outcome === "not-started" || entry.interrupted);
  if (interrupted && isCut) return "interrupted";
  if (usable === 0) return "failed";
  return entries.every((entry) => entry.outcome === "good") ? "good" : "partial";
}
