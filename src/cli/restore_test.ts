import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import { UserError } from "../core/errors.ts";
import type { ByteSource } from "../core/bytes.ts";
import type { StoredArchive } from "../core/sink.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { isUsable, type RestoreTestReport, resultLine, type TestedGuest } from "../restore_test/report.ts";
import { testRestores } from "../restore_test/restore_test.ts";
import { decoderTools } from "../setup/decoders.ts";
import { thisMachine } from "../setup/local_node.ts";
import { openNodes } from "../setup/reach.ts";
import { requireChoice } from "../setup/restore_setup.ts";
import { planTests } from "../setup/restore_test_setup.ts";
import { newRunId } from "../setup/run_id.ts";
import type { RestoreTestOptions } from "../config/options.ts";
import { chooseArchives } from "../store/choose.ts";
import { type ListedArchive, readStore } from "../store/snapshot_reader.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, FROM_TEXT, once, openDoors, SNAPSHOT_TEXT } from "./flags.ts";
import { watchSignals } from "./interrupt.ts";
import { showProgress } from "./progress.ts";

interface Flags {
  from: string;
  snapshot?: string;
  json?: true;
  [flag: string]: unknown;
}

/** Declares `restore-test`. */
export function declareRestoreTest(command: Command): void {
  command.description(
    "prove that archives restore and boot: each goes to a free vmid, is cut off from all around it, started, asked and removed again",
  )
    .requiredOption("--from <PATH>", FROM_TEXT, once("--from"))
    .option("--snapshot <ID>", SNAPSHOT_TEXT, once("--snapshot"));
  addTableFlags(command, "restore_test");
}

/** Runs `restore-test`. */
export async function runRestoreTest(flags: Flags, context: CliContext): Promise<void> {
  const { terminal, environment } = context;
  const doors = await openDoors("restore_test", flags, environment, (line) => terminal.say(line));
  const options = readOptions("restore_test", doors);
  requireChoice(options);
  const archives = chooseArchives(await readStore(flags.from), {
    vmids: options.vmid,
    snapshot: flags.snapshot,
  });
  const nodes = await openNodes(options, terminal);
  try {
    await testFrom(nodes, archives, options, flags, context);
  } finally {
    await nodes.close();
  }
}

async function testFrom(
  nodes: Nodes,
  archives: readonly ListedArchive[],
  options: RestoreTestOptions,
  flags: Flags,
  context: CliContext,
): Promise<void> {
  const { terminal, now } = context;
  const machine = thisMachine();
  const from = {
    source: {
      open: (archive: StoredArchive): Promise<ByteSource> =>
        machine.files.open((archive as ListedArchive).path),
    },
    decoder: decoderTools(machine),
  };
  const { tasks, unread } = await planTests(nodes, archives, options, from);
  const signals = watchSignals(context.leave, (text) => progress.listen({ type: "note", text }));
  let progress = showProgress(terminal);
  try {
    const report = await testRestores(tasks, {
      nodes,
      unread,
      ...from,
      runId: newRunId(),
      dumpDir: options.dump_dir,
      timeout: options.timeout,
      bwlimit: options.bwlimit,
      now,
      listen: (event) => progress.listen(event),
      stop: signals.stop,
      tell: async (guest) => {
        progress.close();
        progress = showProgress(terminal);
        await tellGuest(guest, flags, context);
      },
    });
    await tellAll(report, flags, context);
    conclude(report, signals.stop);
  } finally {
    progress.close();
    signals.close();
  }
}

async function tellGuest(guest: TestedGuest, flags: Flags, { terminal }: CliContext): Promise<void> {
  for (const warning of guest.warnings) terminal.say(`Guest ${guest.vmid ?? guest.target}: ${warning}`);
  await terminal.out(flags.json ? JSON.stringify({ type: "guest", ...guest }) : resultLine(guest));
}

async function tellAll(report: RestoreTestReport, flags: Flags, { terminal }: CliContext): Promise<void> {
  const { guests, run, outcome, started, finished } = report;
  if (flags.json) {
    return await terminal.out(JSON.stringify({ type: "summary", run, outcome, started, finished }));
  }
  const counted = (["passed", "not-proven", "restored"] as const).map((wanted) =>
    [guests.filter((guest) => guest.outcome === wanted).length, wanted] as const
  );
  const [passed, ...others] = counted;
  const rest = others.filter(([count]) => count > 0).map(([count, what]) =>
    `${count} ${what === "restored" ? "templates restored" : "started, not proven"}`
  );
  await terminal.out(
    [`${passed?.[0] ?? 0} of ${guests.length} guests passed`, ...rest].join(", "),
  );
}

function conclude({ outcome, guests }: RestoreTestReport, stop: AbortSignal): void {
  if (outcome === "interrupted") throw stop.reason;
  if (outcome === "good") return;
  const vmids = (list: readonly TestedGuest[]) =>
    list.map((guest) => guest.vmid ?? `"${guest.archive}"`).join(", ");
  const bad = guests.filter((guest) => !isUsable(guest));
  const sentences = [
    ...(bad.length > 0 ? [`Not shown to restore: ${vmids(bad)}`] : []),
    ...guests.flatMap(({ left }) => left === undefined ? [] : [`A guest of the test is left: ${left}`]),
  ];
  const isDamaged = outcome === "failed" && bad.every((guest) => guest.damaged);
  const kind = outcome === "partial" ? "partial" : isDamaged ? "damage" : "failed";
  throw new UserError(kind, sentences.join("\n"));
}
