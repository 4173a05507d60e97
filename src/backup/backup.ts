import { messageOf } from "../core/errors.ts";
import type { EventListener } from "../core/events.ts";
import type { Guest } from "../core/guest.ts";
import type { SnapshotSink } from "../core/sink.ts";
import { FORM_VERSION, type GuestReport, type ManifestGuest, type Report } from "../core/snapshot.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { type DumpSettings, requireSupported } from "../proxmox/vzdump.ts";
import { readVzdumpConf } from "../proxmox/vzdump_conf.ts";
import { openWorkDir, type WorkDir } from "../proxmox/work_dir.ts";
import { dumpGuest } from "./dump_guest.ts";
import { describeGuests, makeManifest } from "./manifest.ts";
import { explainFailed, explainLeftOut, type NotTaken, type Selected } from "./select.ts";

/** What to back up, and how. */
export interface BackupRequest {
  selected: Selected;
  settings: DumpSettings;
  method: "auto" | "stream" | "file";
  /** Directory on the node under which the run makes its own. */
  dumpDir: string;
  /** Seconds, see `CheckedSource`. */
  stallTimeout: number;
  onError: "continue" | "fail";
  /** False keeps an archive that vzdump wrote as a file: it is moved up into `dumpDir`. */
  cleanup: boolean;
  /** The options in force, for the manifest. */
  options: Record<string, unknown>;
}

export interface BackupContext {
  node: ProxmoxNode;
  sink: SnapshotSink;
  runId: string;
  /** Name and version of this program. */
  program: string;
  now: () => Date;
  listen: EventListener;
  /** Aborted to end the running dump and start no other. */
  stop: AbortSignal;
}

/**
 * Backs up the selected guests of one node, one after the other: Proxmox runs one vzdump per node at a time.
 * A guest's failure is its own; the report tells. Rejects only when the run as a whole cannot go on.
 */
export async function backup(request: BackupRequest, context: BackupContext): Promise<Report> {
  const { node, sink, now } = context;
  const { selected } = request;
  requireSupported(request.settings, node.release);
  const started = now();
  const reports = notTakenReports(selected);
  for (const { vmid, kind, name, error } of reports) {
    const label = { vmid, ...(kind ? { kind } : {}), ...(name !== undefined ? { name } : {}) };
    context.listen({
      type: "guest-finished",
      ...label,
      good: false,
      bytes: 0,
      seconds: 0,
      text: error ?? "",
    });
  }
  // A snapshot without a single guest would only stand in the way as the newest.
  if (selected.guests.length === 0) return makeReport(reports, request, context, started);

  const workDir = await openWorkDir(node, request.dumpDir, context.runId, 0o711);
  try {
    const described = await describeGuests(node, selected.guests);
    const run = { ...request, id: context.runId, started, program: context.program };
    await sink.begin(makeManifest(node, described, { ...run, vzdumpConf: await readVzdumpConf(node) }));

    for (const [index, guest] of selected.guests.entries()) {
      const givenUp = context.stop.aborted || (request.onError === "fail" && reports.some(hasFailed));
      reports.push(
        givenUp
          ? { ...emptyReport(guest, described[index]), outcome: "not-started" }
          : await backUpGuest(guest, described[index], { request, context, workDir, index }),
      );
    }
    const report = makeReport(reports, request, context, started);
    await sink.finish(report);
    return report;
  } finally {
    await workDir.close();
  }
}

async function backUpGuest(
  guest: Guest,
  described: ManifestGuest | undefined,
  run: { request: BackupRequest; context: BackupContext; workDir: WorkDir; index: number },
): Promise<GuestReport> {
  const { request, context: { node, sink, listen, stop, now }, workDir } = run;
  const { vmid, kind } = guest;
  const label = { vmid, kind, ...(guest.name !== undefined ? { name: guest.name } : {}) };
  listen({ type: "guest-started", ...label, index: run.index, total: request.selected.guests.length });
  const time = now();
  const result = await dumpGuest(guest, {
    node,
    sink,
    request: {
      settings: request.settings,
      method: request.method,
      workDir: await workDir.makeDir(String(vmid)),
      ...(request.cleanup ? {} : { keepIn: request.dumpDir }),
    },
    stallTimeout: request.stallTimeout * 1000,
    time,
    listen,
    stop,
  });
  await workDir.removeDir(String(vmid));
  const seconds = (now().getTime() - time.getTime()) / 1000;
  const good = result.archive !== undefined;
  listen({ type: "guest-finished", ...label, good, bytes: result.bytes, seconds, text: result.error ?? "" });
  return {
    ...emptyReport(guest, described),
    outcome: good ? "good" : "failed",
    ...(result.error !== undefined ? { error: result.error } : {}),
    ...(result.archive ? { archive: result.archive } : {}),
    bytes: result.bytes,
    seconds,
    warnings: result.warnings,
    log: result.log,
  };
}

function emptyReport(guest: Guest, described?: ManifestGuest): Omit<GuestReport, "outcome"> {
  const { vmid, kind, node, name } = guest;
  const known = { vmid, kind, node, ...(name !== undefined ? { name } : {}) };
  return { ...known, bytes: 0, seconds: 0, warnings: [], notHeld: described?.notHeld ?? [] };
}

function notTakenReports(selected: Selected): GuestReport[] {
  const report = (entry: NotTaken, outcome: "failed" | "left-out"): GuestReport => ({
    ...(entry.guest
      ? emptyReport(entry.guest)
      : { vmid: entry.vmid, bytes: 0, seconds: 0, warnings: [], notHeld: [] }),
    outcome,
    error: outcome === "failed" ? explainFailed(entry) : explainLeftOut(entry),
  });
  return [
    ...selected.failed.map((entry) => report(entry, "failed")),
    ...selected.leftOut.map((entry) => report(entry, "left-out")),
  ];
}

function hasFailed(report: GuestReport): boolean {
  return report.outcome === "failed";
}

function makeReport(
  guests: GuestReport[],
  request: BackupRequest,
  { runId, stop, now }: BackupContext,
  started: Date,
): Report {
  const good = guests.filter((guest) => guest.outcome === "good").length;
  const notes = [...request.selected.notes];
  if (stop.aborted) notes.push(messageOf(stop.reason));
  return {
    version: FORM_VERSION,
    run: runId,
    started: started.toISOString(),
    finished: now().toISOString(),
    outcome: outcome(),
    guests,
    notes,
  };

  function outcome(): Report["outcome"] {
    if (stop.aborted && good < guests.length) return "interrupted";
    if (good === 0 || (request.onError === "fail" && guests.some(hasFailed))) return "failed";
    return good === guests.length ? "good" : "partial";
  }
}
