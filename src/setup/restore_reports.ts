import { messageOf, UserError } from "../core/errors.ts";
import type { RestoreReport } from "../restore/report.ts";
import { syncDir, writeJson } from "../store/durable.ts";
import { stateDir } from "./state_dir.ts";

/** Where restores keep their reports: they hold the configuration of guests that were replaced. */
export function reportPath(
  environment: Readonly<Record<string, string>>,
  started: Date,
  runId: string,
): string {
  const time = started.toISOString().slice(0, 19).replaceAll(":", "-");
  return `${stateDir(environment)}/restore-${time}Z-${runId.slice(0, 8)}.json`;
}

/** Writes the report, mode 0600 in a directory of mode 0700. */
export async function saveReport(path: string, report: RestoreReport): Promise<void> {
  const dir = path.slice(0, path.lastIndexOf("/")) || "/";
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
    await writeJson(path, report);
    await syncDir(dir);
  } catch (cause) {
    throw new UserError("failed", `Cannot write the report "${path}": ${messageOf(cause)}`, {
      hint:
        "a replaced guest's configuration is kept in it; give another place with --report, or with XDG_STATE_HOME",
      cause,
    });
  }
}
