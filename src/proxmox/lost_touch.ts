import { UserError } from "../core/errors.ts";
import { CommandError } from "../runner/runner.ts";

/** Whether an error says that the way to a node was lost: what was at work there may go on unseen. */
export function isLostTouch(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof CommandError && cause.reason === "connection") return true;
    if (cause instanceof UserError && cause.kind === "unreachable") return true;
  }
  return false;
}
