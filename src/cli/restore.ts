import { dirname } from "node:path";
import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import type { RestoreOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import type { ByteSource } from "../core/bytes.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import type { PlannedRestore } from "../restore/plan.ts";
import { refusalSentences, type RestoreReport } from "../restore/report.ts";
import { restore } from "../restore/restore.ts";
import { decoderTools } from "../setup/decoders.ts";
import { thisMachine } from "../setup/local_node.ts";
import { openNodes } from "../setup/reach.ts";
import { planFromOptions, requireChoice } from "../setup/restore_setup.ts";
import { newRunId } from "../setup/run_id.ts";
import { chooseArchives } from "../store/choose.ts";
import { type ListedArchive, readStore } from "../store/snapshot_reader.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, FROM_TEXT, once, openDoors, SNAPSHOT_TEXT } from "./flags.ts";
import { watchSignals } from "./interrupt.ts";
import { planLines } from "../restore/plan_text.ts";
import { showProgress } from "./progress.ts";
import { reportPath, saveReport } from "../setup/restore_reports.ts";

interface Flags {
  from: string;
  snapshot?: string;
  report?: string;
  force?: true;
  yes?: true;
  skipRefused?: true;
  json?: true;
  [flag: string]: unknown;
}

/** Declares `restore`. */
export function declareRestore(command: Command): void {
  command.description("restore guests onto a node or its cluster, by default the newest archive of each")
    .requiredOption(
      "--from <PATH>",
      FROM_TEXT,
      once("--from"),
    )
    .option(
      "--snapshot <ID>",
      SNAPSHOT_TEXT,
      once("--snapshot"),
    )
    .option("--force", "replace the guest that stands there, whoever it is; the same as --if-exists replace")
    .option("--skip-refused", "restore what can be restored when the plan refuses some of the guests")
    .option("--yes", "replace guests without asking; only a terminal is asked")
    .option(
      "--report <FILE>",
      "where to write the report, which keeps the configuration of replaced guests (default: a file in /var/lib/plakar-proxmox)",
      once("--report"),
    );
  addTableFlags(command, "restore");
}

/** Runs `restore`. */
export async function runRestore(flags: Flags, context: CliContext): Promise<void> {
  const { terminal } = context;
  const force = { describe: () => "--force", values: { if_exists: "replace" }, shared: false };
  const doors = await openDoors("restore", flags, context.environment, (line) => terminal.say(line));
  if (flags.force && flags.ifExists !== undefined) {
    throw new UserError("usage", "Cannot use --force and --if-exists together");
  }
  const options = readOptions("restore", flags.force ? [force, ...doors] : doors);
  requireChoice(options);
  const archives = chooseArchives(await readStore(flags.from), {
    vmids: options.vmid,
    snapshot: flags.snapshot,
  });

  const nodes = await openNodes(options, terminal);
  try {
    await restoreFrom(nodes, archives, options, flags, context);
  } finally {
    await nodes.close();
  }
}

async function restoreFrom(
  nodes: Nodes,
  archives: readonly ListedArchive[],
  options: RestoreOptions,
  flags: Flags,
  context: CliContext,
): Promise<void> {
  const { terminal, now } = context;
  const machine = thisMachine();
  const from = {
    source: {
      open: (archive: unknown): Promise<ByteSource> => machine.files.open((archive as ListedArchive).path),
    },
    decoder: decoderTools(machine),
  };
  if (flags.report !== undefined) await requirePlace(flags.report);
  const plans = await planFromOptions(nodes, archives, options, from);
  await showPlan(plans, flags, options.dry_run, context);
  refuse(plans, flags);
  if (options.dry_run) return;
  await askBeforeReplace(plans, flags, context);

  const runId = newRunId();
  const path = flags.report ?? reportPath(context.environment, now(), runId);
  const signals = watchSignals(context.leave, (text) => progress.listen({ type: "note", text }));
  const progress = showProgress(terminal);
  try {
    const report = await restore(plans, {
      nodes,
      ...from,
      runId,
      dumpDir: options.dump_dir,
      cleanup: options.cleanup,
      shutdownTimeout: options.shutdown_timeout,
      bwlimit: options.bwlimit,
      now,
      listen: progress.listen.bind(progress),
      stop: signals.stop,
      save: (report) => saveReport(path, report),
    });
    progress.close();
    await tell(report, path, flags, context);
    conclude(report, signals.stop);
  } finally {
    progress.close();
    signals.close();
  }
}

/** No directory is made for a report: what was to be mounted there would hide it. */
async function requirePlace(report: string): Promise<void> {
  const dir = dirname(report);
  if ((await Deno.stat(dir).catch(() => undefined))?.isDirectory) return;
  throw new UserError("usage", `Cannot write the report "${report}": there is no directory "${dir}"`, {
    hint: "make it, or give another place with --report",
  });
}

/** The plan is what --dry-run is for; else people see it before a replace. */
async function showPlan(
  plans: readonly PlannedRestore[],
  flags: Flags,
  dryRun: boolean,
  { terminal }: CliContext,
): Promise<void> {
  if (dryRun && flags.json) {
    for (const plan of plans) await terminal.out(JSON.stringify({ type: "plan", ...plan }));
  } else if (dryRun) {
    for (const line of planLines(plans)) await terminal.out(line);
  } else if (plans.some((plan) => plan.action === "replace" && plan.refusals.length === 0)) {
    for (const line of planLines(plans)) terminal.say(line);
  } else {
    for (const plan of plans) {
      for (const warning of plan.warnings) terminal.say(`Guest ${plan.target}: ${warning}`);
    }
  }
}

/** Any refusal starts nothing, unless the refused ones are to be skipped and others are left. */
function refuse(plans: readonly PlannedRestore[], flags: Flags): void {
  const refused = plans.filter((plan) => plan.refusals.length > 0);
  if (refused.length === 0 || (flags.skipRefused && refused.length < plans.length)) return;
  const sentences = refused.flatMap(refusalSentences);
  const others = plans.length - refused.length;
  const kind = refused.every((plan) => plan.damaged) ? "damage" : "failed";
  throw new UserError(kind, sentences.join("\n"), {
    ...(others > 0
      ? { hint: `nothing was started; pass --skip-refused to restore the other ${others}` }
      : {}),
  });
}

async function askBeforeReplace(
  plans: readonly PlannedRestore[],
  flags: Flags,
  { terminal }: CliContext,
): Promise<void> {
  const replaced = plans.filter((plan) => plan.action === "replace" && plan.refusals.length === 0);
  if (replaced.length === 0 || flags.yes || !terminal.canAsk) return;
  const vmids = replaced.map((plan) => plan.target).join(", ");
  if (await terminal.confirm(`Replace ${vmids}? What stands there now will be lost.`)) return;
  throw new UserError("failed", "Nothing was restored: the replace was not confirmed");
}

async function tell(
  report: RestoreReport,
  path: string,
  flags: Flags,
  { terminal }: CliContext,
): Promise<void> {
  for (const guest of report.guests) {
    if (flags.json) await terminal.out(JSON.stringify({ type: "guest", ...guest }));
  }
  const { run, outcome, started, finished, guests } = report;
  const good = guests.filter((guest) => guest.outcome === "good").length;
  if (flags.json) {
    await terminal.out(JSON.stringify({ type: "summary", run, outcome, started, finished, report: path }));
  } else {
    const where = report.unsaved === undefined ? `; the report is ${path}` : "";
    await terminal.out(`${good} of ${guests.length} guests restored${where}`);
  }
}

function conclude(report: RestoreReport, stop: AbortSignal): void {
  const left = report.guests.filter((guest) => guest.outcome !== "good").map((guest) => guest.target).join(
    ", ",
  );
  if (report.outcome === "interrupted") throw stop.reason;
  if (report.unsaved !== undefined) {
    throw new UserError(report.outcome === "failed" ? "failed" : "partial", report.unsaved);
  }
  if (report.outcome === "failed") {
    const kind = report.guests.every((guest) => guest.damaged) ? "damage" : "failed";
    throw new UserError(kind, `The restore failed: ${left}`);
  }
  if (report.outcome === "partial") {
    const isAnyGood = report.guests.some((guest) => guest.outcome === "good");
    throw new UserError("partial", `Not restored, or not running: ${left}`, {
      ...(isAnyGood ? { hint: "the others are good" } : {}),
    });
  }
}
