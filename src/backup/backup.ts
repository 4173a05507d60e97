import type { SnapshotSink } from "../core/sink.ts";
import type { Report } from "../core/snapshot.ts";
import { type BackupContext, type BackupRequest, BackupRun } from "./backup_run.ts";

/**
 * Backs up the selected guests of one node, one after the other: Proxmox runs one vzdump per node at a time.
 * A guest's failure is its own; the report tells. Rejects only when the run as a whole cannot go on.
 */
export async function backup(
  request: BackupRequest,
  context: BackupContext,
  sink: SnapshotSink,
): Promise<Report> {
  await using run = await BackupRun.open(request, context);
  // A snapshot without a single guest would only stand in the way as the newest.
  if (run.guests.length === 0) return run.report();

  await sink.begin(run.manifest);
  for (const guest of run.guests) {
    if (context.stop.aborted || (request.onError === "fail" && run.hasFailures)) break;
    await run.backUp(guest, sink);
  }
  const report = run.report();
  await sink.finish(report);
  return report;
}
