import { messageOf, UserError } from "../core/errors.ts";
import { ArchiveDamage } from "../archive/contents.ts";
import { isLostTouch } from "../proxmox/lost_touch.ts";
import { feedRestoreTool, type JobSink } from "../proxmox/restore_tools.ts";
import { readHead } from "./peek.ts";
import type { PlannedRestore } from "./plan.ts";
import type { RestoredGuest } from "./report.ts";
import { carryOut } from "./carry_out.ts";
import type { RestoreContext } from "./context.ts";
import { requireGoodEnd, restoreRequest } from "./restore_guest.ts";
import { stageFailure } from "./stage.ts";
import { labelOf } from "./standing.ts";
import { streamArchive, type StreamTask } from "./stream_archive.ts";

/**
 * Restores one guest as planned while its archive comes; `entry` is filled in on the way. Nothing is stopped or
 * destroyed before the archive's beginning was read and checked; the tool's time limit for it (60 s, or 5 s on older
 * releases: qemu-server, restore_vma_archive) is no concern then.
 *
 * @throws what went wrong, in a sentence that says how the guest was left
 */
export async function streamGuest(
  plan: PlannedRestore,
  entry: RestoredGuest,
  context: RestoreContext,
): Promise<void> {
  const { source } = await begin(plan, context);
  try {
    await carryOut(plan, entry, context, (onWhole) => feedTool(plan, entry, { source, onWhole }, context));
  } catch (error) {
    entry.error = messageOf(error);
    throw error;
  } finally {
    await source.cancel("over").catch(() => {});
  }
}

async function begin(plan: PlannedRestore, { source, decoder }: RestoreContext) {
  try {
    return await readHead(await source.open(plan.archive), plan.kind, decoder);
  } catch (error) {
    throw stageFailure(labelOf(plan), error);
  }
}

async function feedTool(
  plan: PlannedRestore,
  entry: RestoredGuest,
  input: Pick<StreamTask, "source" | "onWhole">,
  context: RestoreContext,
): Promise<void> {
  const { listen, stop, node, decoder, requireBytes } = context;
  const { target, archive, compression, storages } = plan;
  listen({ type: "phase", vmid: target, text: "restoring" });
  const sink = await feedRestoreTool(node, restoreRequest(plan, context));
  const onBytes = (bytes: number) => {
    entry.bytes = bytes;
    listen({ type: "bytes", vmid: target, bytes });
  };
  const onGiveUp = () => listen({ type: "phase", vmid: target, text: "ending the restore tool" });
  try {
    const task = { ...input, onGiveUp, archive, compression, storages, decoder, requireBytes, onBytes, stop };
    requireGoodEnd(plan, entry, await streamArchive(task, sink));
  } catch (error) {
    throw streamFailure(plan, entry, error, { sink, stop });
  }
}

function streamFailure(
  plan: PlannedRestore,
  entry: RestoredGuest,
  error: unknown,
  { sink, stop }: { sink: JobSink; stop: AbortSignal },
): unknown {
  entry.log = sink.logTail();
  if (stop.aborted && error === stop.reason) entry.interrupted = true;
  if (isLostTouch(error) || error instanceof UserError && error !== stop.reason) return error;
  const kind = error instanceof ArchiveDamage ? "damage" : "failed";
  return new UserError(kind, `Cannot restore ${labelOf(plan)}: ${messageOf(error)}`, { cause: error });
}
