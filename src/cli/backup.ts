import { resolve } from "node:path";
import type { Command } from "commander";
import { backup, ReportLost } from "../backup/backup.ts";
import type { BackupRequest } from "../backup/request.ts";
import { type Door, readOptions } from "../config/doors.ts";
import { UserError } from "../core/errors.ts";
import type { Report } from "../core/snapshot.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { requireActiveStorage } from "../proxmox/work_dir.ts";
import { backupRequest, selectOn } from "../setup/backup_setup.ts";
import { SELECTION_KEYS, selectionOf } from "../setup/selection.ts";
import { openNodes } from "../setup/reach.ts";
import { newRunId } from "../setup/run_id.ts";
import { isRemote } from "../setup/where.ts";
import { readStore } from "../store/snapshot_reader.ts";
import { SnapshotWriter } from "../store/snapshot_writer.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, once, openDoors } from "./flags.ts";
import { watchSignals } from "./interrupt.ts";
import { showProgress } from "./progress.ts";
import { notHeldText } from "./table.ts";
import { sizeText } from "../core/units.ts";

interface Flags {
  to: string;
  retryFailed?: true;
  json?: true;
  [flag: string]: unknown;
}

/** Declares `backup`. */
export function declareBackup(command: Command): void {
  command.description("back up guests of a node or of its cluster into a directory")
    .requiredOption(
      "--to <DIR>",
      "directory to write the snapshot into; its last component is made when missing",
      once("--to"),
    )
    .option("--retry-failed", "back up what failed in the newest snapshot there, instead of a selection");
  addTableFlags(command, "backup");
}

/** Runs `backup`; answers the exit status. */
export async function runBackup(flags: Flags, context: CliContext): Promise<void> {
  const { terminal } = context;
  const doors = await openDoors("backup", flags, context.environment, (line) => terminal.say(line));
  const options = readOptions("backup", flags.retryFailed ? await onlyFailed(flags.to, doors) : doors);
  const selection = selectionOf(options);
  const nodes = await openNodes(options, terminal);
  try {
    const selected = await selectOn(nodes.entry, selection);
    const store = resolve(flags.to);
    // Only where the store is a directory of the node itself do its storages say something of it.
    if (!isRemote(options)) await requireActiveStorage(nodes.entry, store);
    await backUp(backupRequest(options, selected), nodes, store, flags, context);
  } finally {
    await nodes.close();
  }
}

async function backUp(
  request: BackupRequest,
  nodes: Nodes,
  store: string,
  flags: Flags,
  context: CliContext,
): Promise<void> {
  const { terminal, now, program } = context;
  const runId = newRunId();
  const sink = await SnapshotWriter.create(store, now(), runId);
  const signals = watchSignals(context.leave, (text) => progress.listen({ type: "note", text }));
  const progress = showProgress(terminal);
  try {
    const listen = progress.listen.bind(progress);
    for (const note of request.selected.notes) listen({ type: "note", text: note });
    // A store may be one that can only be written to.
    const later = await sink.laterSnapshot().catch(() => undefined);
    if (later !== undefined) {
      const text = `Snapshot "${later}" in "${store}" is of a later time than this backup`;
      listen({ type: "note", text: `${text}: it stays the newest there; set the clock right` });
    }
    const run = { nodes, runId, program, now, listen, stop: signals.stop };
    const { report, lost } = await withReport(backup(request, run, sink));
    progress.close();
    await tell(report, sink.path, flags, context);
    if (lost) throw lost;
    conclude(report, signals.stop);
  } finally {
    progress.close();
    signals.close();
    await sink.close();
  }
}

/** What has become of the guests is told even where the report of it was lost. */
async function withReport(run: Promise<Report>): Promise<{ report: Report; lost?: ReportLost }> {
  try {
    return { report: await run };
  } catch (error) {
    if (error instanceof ReportLost) return { report: error.report, lost: error };
    throw error;
  }
}

/** The doors with every selection replaced by the guests that failed in the newest snapshot. */
async function onlyFailed(store: string, doors: readonly Door[]): Promise<Door[]> {
  if (SELECTION_KEYS.some((key) => doors[0]?.values[key] !== undefined)) {
    throw new UserError("usage", "Cannot use --retry-failed together with a selection");
  }
  const [newest] = (await readStore(store)).snapshots.filter((snapshot) => snapshot.report);
  const failed = newest?.report?.guests.filter((guest) =>
    guest.outcome === "failed" || guest.outcome === "not-started"
  );
  if (!newest || !failed) {
    throw new UserError("usage", `Cannot retry: "${store}" holds no finished snapshot`);
  }
  if (failed.length === 0) {
    throw new UserError("usage", `Cannot retry: nothing failed in the newest snapshot, "${newest.id}"`);
  }
  const vmid = failed.map((guest) => guest.vmid).join(",");
  const unselected = doors.map((door) => {
    const kept = Object.entries(door.values).filter(([key]) =>
      !(SELECTION_KEYS as readonly string[]).includes(key)
    );
    return { ...door, values: Object.fromEntries(kept) };
  });
  return [{ describe: () => "--retry-failed", values: { vmid }, shared: false }, ...unselected];
}

async function tell(report: Report, path: string, flags: Flags, { terminal }: CliContext): Promise<void> {
  for (const guest of report.guests) {
    for (const warning of guest.warnings) terminal.say(`Guest ${guest.vmid}: warning: ${warning}`);
    for (const thing of guest.notHeld) {
      terminal.say(`Guest ${guest.vmid}: not in the backup: ${notHeldText(thing)}`);
    }
    if (flags.json) await terminal.out(JSON.stringify({ type: "guest", ...guest }));
  }
  const good = report.guests.filter((guest) => guest.outcome === "good");
  const bytes = good.reduce((sum, guest) => sum + guest.bytes, 0);
  const { run, outcome, started, finished, notes } = report;
  if (flags.json) {
    await terminal.out(
      JSON.stringify({ type: "summary", run, outcome, snapshot: path, started, finished, bytes, notes }),
    );
  } else {
    const where = good.length > 0 ? `, ${sizeText(bytes)}, in ${path}` : "";
    await terminal.out(`${good.length} of ${report.guests.length} guests backed up${where}`);
  }
}

/** Turns what the report says into the error that stands for its exit status. */
function conclude(report: Report, stop: AbortSignal): void {
  if (report.outcome === "interrupted") throw stop.reason;
  const left = report.guests.filter((guest) => guest.outcome !== "good").map(({ vmid }) => vmid).join(", ");
  if (report.outcome === "failed") throw new UserError("failed", `The backup failed: ${left}`);
  if (report.outcome === "partial") {
    throw new UserError("partial", `The backup is incomplete, without ${left}`, {
      hint: "the others are good; pass --retry-failed to try these again",
    });
  }
}
