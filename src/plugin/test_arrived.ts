import { parseGuestConfig } from "../archive/guest_config.ts";
import { UserError } from "../core/errors.ts";
import type { PlannedRestore } from "../restore/plan.ts";
import { restoreStaged } from "../restore/restore_guest.ts";
import { emptyResult, isUsable, resultLine } from "../restore_test/report.ts";
import { asTest } from "../restore_test/restore_test.ts";
import { testGuest } from "../restore_test/test_guest.ts";
import type { ArrivedArchive } from "./arrived.ts";
import type { PluginContext } from "./context.ts";
import type { GivenExporterOptions } from "./options.ts";

/**
 * Tests an archive that was taken, says what was seen, and removes the guest again.
 *
 * @throws {UserError} with the result where it is not good
 */
export async function testArrived(
  { archive, contents, node, workDir, path }: ArrivedArchive,
  planned: PlannedRestore,
  { options, runId, context, stop }: {
    options: GivenExporterOptions;
    runId: string;
    context: PluginContext;
    stop: AbortSignal;
  },
): Promise<void> {
  const task = asTest({ plan: planned, config: parseGuestConfig(contents.config ?? "").values });
  const result = emptyResult(task.plan);
  const listen = () => {};
  const { bwlimit, shutdown_timeout: shutdownTimeout, timeout } = options;
  const place = { node, workDir, listen, stop, save: () => Promise.resolve() };
  await testGuest(
    task,
    result,
    (entry, settings) =>
      restoreStaged(task.plan, entry, path, { ...place, settings, shutdownTimeout, bwlimit }),
    { ...place, runId, timeout, now: context.now },
  );
  const line = resultLine(result);
  if (isUsable(result) && result.left === undefined) return context.say(line);
  throw new UserError(result.damaged ? "damage" : "failed", `Cannot prove "${archive.name}": ${line}`);
}
