import type { DecoderFactory } from "../archive/contents.ts";
import { messageOf } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import type { SnapshotSource } from "../core/sink.ts";
import { FORM_VERSION } from "../core/snapshot.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { openWorkDir, type WorkDir, workDirPath } from "../proxmox/work_dir.ts";
import { requireShortPath, restoreGuest } from "../restore/restore_guest.ts";
import { rawLines } from "./harmless.ts";
import { emptyResult, outcomeOf, type RestoreTestReport, subjectOf, type TestedGuest } from "./report.ts";
import { type TestContext, testGuest, type TestTask } from "./test_guest.ts";

export interface RestoreTestRun extends Omit<TestContext, "node" | "workDir"> {
  nodes: Nodes;
  /** Results that are there already, of archives that cannot be read. */
  unread?: readonly TestedGuest[];
  source: SnapshotSource;
  decoder: DecoderFactory;
  /** Directory on each node under which the run makes its own. */
  dumpDir: string;
  /** KiB/s. */
  bwlimit?: number | undefined;
  /** Called with each result as it is there. */
  tell: (guest: TestedGuest) => Promise<void>;
}

/** What a plan becomes for a test: nothing of the host comes back with a container, nothing is started by the restore. */
export function asTest({ plan, config }: TestTask): TestTask {
  const { hostMounts: _, pool: __, ...rest } = plan;
  const raw = plan.kind === "lxc" ? rawLines(config) : [];
  const refusals = raw.length === 0 ? plan.refusals : [...plan.refusals, {
    reason: `its configuration has ${raw.join(", ")}, which "pct set" cannot take off`,
    hint: "test it by hand",
  }];
  return { plan: { ...rest, starts: false, refusals }, config };
}

/**
 * Tests archives one after the other, each on the node of its plan, in a free vmid. What stands there is never
 * touched. A stop takes effect at the next step; the guest of a test that was begun is removed first.
 */
export async function testRestores(
  tasks: readonly TestTask[],
  run: RestoreTestRun,
): Promise<RestoreTestReport> {
  const { now, stop } = run;
  const started = now().toISOString();
  const { unread = [] } = run;
  const guests = [...tasks.map(({ plan }) => emptyResult(plan)), ...unread];
  for (const { plan } of tasks) requireShortPath(workDirPath(run.dumpDir, workDirId(plan.target, run)));
  for (const [index, task] of tasks.entries()) {
    if (stop.aborted) break;
    const guest = guests[index] as TestedGuest;
    const { target: vmid, kind, name } = task.plan;
    const label = { vmid, kind, ...(name === undefined ? {} : { name }) };
    // Known even of a run that is killed before the guest is marked.
    const where = `as ${guestLabel({ vmid, kind })} on node "${task.plan.node}"`;
    if (task.plan.refusals.length === 0) {
      run.listen({ type: "note", text: `${subjectOf(guest)} is restored ${where} for its test` });
    }
    run.listen({ type: "guest-started", ...label, index, total: tasks.length });
    await testOne(task, guest, run);
    await run.tell(guest);
  }
  for (const guest of unread) await run.tell(guest);
  return {
    version: FORM_VERSION,
    run: run.runId,
    started,
    finished: now().toISOString(),
    outcome: outcomeOf(guests, stop.aborted),
    guests,
  };
}

/** Tests one archive in a working directory of its own, which it holds until its guest is removed. */
async function testOne(task: TestTask, guest: TestedGuest, run: RestoreTestRun): Promise<void> {
  const { plan } = task;
  let workDir: WorkDir | undefined;
  try {
    const node = await run.nodes.node(plan.node);
    workDir = await openWorkDir(node, run.dumpDir, workDirId(plan.target, run), 0o700);
    const context = { ...run, node, workDir };
    await testGuest(task, guest, (entry, settings) => {
      const save = () => Promise.resolve();
      return restoreGuest(plan, entry, { ...context, settings, shutdownTimeout: 0, save });
    }, context);
  } catch (error) {
    guest.outcome = "failed";
    guest.text = messageOf(error);
  }
  await workDir?.close().catch((error) =>
    guest.warnings.push(`its working directory may be left on node "${plan.node}": ${messageOf(error)}`)
  );
}

const workDirId = (target: number, { runId }: RestoreTestRun): string => `${runId}-${target}`;
