import { archiveName } from "../archive/names.ts";
import { UserError } from "../core/errors.ts";
import { lastError } from "../proxmox/vzdump.ts";
import {
  ARCHIVE_PATH_LIMIT,
  type CommandEnd,
  restorePercentOf,
  type RestoreRequest,
  runRestoreTool,
} from "../proxmox/restore_tools.ts";
import { carryOut } from "./carry_out.ts";
import type { ReplaceContext, RestoreContext } from "./context.ts";
import type { PlannedRestore } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { stageArchive, stageFailure, type StageTask } from "./stage.ts";
import { labelOf } from "./standing.ts";

/**
 * Restores one guest as planned; `entry` is filled in on the way. Nothing is stopped or destroyed before the
 * archive is on the node and proved whole.
 *
 * @throws what went wrong, in a sentence that says how the guest was left
 */
export async function restoreGuest(
  plan: PlannedRestore,
  entry: RestoredGuest,
  context: RestoreContext,
): Promise<void> {
  await restoreStaged(plan, entry, await stage(plan, entry, context), context);
}

/**
 * Restores one guest from an archive that is on the node and was proved whole, if the guest that stands there
 * is still the planned one.
 *
 * @throws what went wrong, in a sentence that says how the guest was left
 */
export async function restoreStaged(
  plan: PlannedRestore,
  entry: RestoredGuest,
  archivePath: string,
  context: ReplaceContext,
): Promise<void> {
  await carryOut(plan, entry, context, () => runTool(plan, entry, archivePath, context));
}

async function stage(plan: PlannedRestore, entry: RestoredGuest, context: RestoreContext): Promise<string> {
  const { archive, compression, target } = plan;
  const { node, listen, stop } = context;
  const path = `${context.workDir.path}/${stagedName(plan)}`;
  listen({ type: "phase", vmid: target, text: "staging" });
  try {
    const contents = await stageArchive({
      archive,
      compression,
      source: await context.source.open(archive),
      node,
      path,
      storages: plan.storages,
      decoder: context.decoder,
      onBytes: (bytes) => listen({ type: "bytes", vmid: target, bytes }),
      stop,
    });
    entry.bytes = contents.bytes;
    return path;
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    throw stageFailure(labelOf(plan), error);
  }
}

/** A canonical name: the tools go by its suffix alone, which must fit the content. */
export function stagedName(
  { archive, compression, kind, target, storages }:
    & Pick<PlannedRestore, "archive" | "compression" | "kind" | "target">
    & Pick<StageTask, "storages">,
): string {
  const time = archive.taken ?? new Date(0);
  const staged = storages === undefined ? compression : "none";
  return archiveName({ kind, vmid: archive.vmid ?? target, time, compression: staged });
}

/** Refuses a directory under which the path of a staged archive may become longer than the tools take. */
export function requireShortPath(workDir: string): void {
  const longest = `${workDir}/vzdump-qemu-999999999-2026_01_31-12_00_00.vma.zst`;
  if (longest.length <= ARCHIVE_PATH_LIMIT) return;
  throw new UserError(
    "usage",
    `Cannot restore through "${workDir}": the path of the archive would be too long`,
    {
      hint: `Proxmox takes ${ARCHIVE_PATH_LIMIT} characters; give a shorter --dump-dir`,
    },
  );
}

async function runTool(
  plan: PlannedRestore,
  entry: RestoredGuest,
  archivePath: string,
  context: ReplaceContext,
): Promise<void> {
  context.listen({ type: "phase", vmid: plan.target, text: "restoring" });
  requireGoodEnd(
    plan,
    entry,
    await runRestoreTool(context.node, { ...restoreRequest(plan, context), archivePath }),
  );
}

/** What the tool is asked for, whichever way the archive comes to it. */
export function restoreRequest(
  plan: PlannedRestore,
  { workDir, listen, bwlimit, settings }: ReplaceContext,
): Omit<RestoreRequest, "archivePath"> {
  const { target, kind } = plan;
  return {
    target: { vmid: target, kind },
    replace: plan.action === "replace",
    storage: plan.storage,
    volumes: plan.volumes,
    unprivileged: plan.unprivileged,
    pool: plan.pool,
    unique: plan.unique,
    settings,
    bwlimit,
    hold: workDir.busy,
    logDir: workDir.path,
    onLog: (line) => {
      const percent = restorePercentOf(line);
      if (percent !== undefined) listen({ type: "percent", vmid: target, percent });
    },
  };
}

/** Keeps the tool's last words, and throws them unless it ended well. */
export function requireGoodEnd(plan: PlannedRestore, entry: RestoredGuest, end: CommandEnd): void {
  entry.log = end.logTail;
  if (end.status === 0) return;
  const reason = lastError(end.logTail) ?? `the tool ended with status ${end.status}`;
  throw new UserError("failed", `Cannot restore ${labelOf(plan)}: ${reason}`);
}
