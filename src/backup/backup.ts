import { messageOf, UserError } from "../core/errors.ts";
import type { SnapshotSink } from "../core/sink.ts";
import type { Report } from "../core/snapshot.ts";
import { BackupRun } from "./backup_run.ts";
import type { BackupContext, BackupRequest } from "./request.ts";

/**
 * Backs up the selected guests: the nodes side by side, the guests of a node one after the other, since Proxmox
 * runs one vzdump per node at a time. A guest's failure is its own; the report tells. Rejects only when the run
 * as a whole cannot go on.
 *
 * @throws {ReportLost} when everything is done and only the report could not be kept
 */
export async function backup(
  request: BackupRequest,
  context: BackupContext,
  sink: SnapshotSink,
): Promise<Report> {
  const run = await BackupRun.open(request, context);
  // A snapshot without a single guest would only stand in the way as the newest.
  if (run.guests.length === 0) return run.report();

  await sink.begin(run.manifest);
  await Promise.all(run.guests.map((guest) => run.backUp(guest, sink)));
  const report = run.report();
  await sink.finish(report).catch((cause) => {
    throw new ReportLost(report, cause);
  });
  return report;
}

/** All guests had their turn, but the report could not be kept: their snapshot stays visible as incomplete. */
export class ReportLost extends UserError {
  constructor(readonly report: Report, cause: unknown) {
    const hasGood = report.guests.some(({ outcome }) => outcome === "good");
    const hint =
      "the archives called good are whole and can be restored, their snapshot counts as incomplete";
    super(hasGood ? "partial" : "failed", messageOf(cause), { hint, cause });
  }
}
