import { flagName } from "../config/doors.ts";
import { OPTIONS } from "../config/options.ts";
import { messageOf, UserError } from "../core/errors.ts";
import { GrpcError, Status } from "../rpc/grpc/status.ts";

/** Runs a call; what it throws for people becomes a status whose message is the whole sentence. */
export async function explained<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof GrpcError) throw error;
    const isUsage = error instanceof UserError && error.kind === "usage";
    const code = isUsage ? Status.INVALID_ARGUMENT : Status.UNKNOWN;
    throw new GrpcError(code, inPlakarsWords(messageOf(error)), { cause: error });
  }
}

/** What Init has left behind, for the calls that come after it. */
export function afterInit<T>(options: T | undefined): T {
  if (options !== undefined) return options;
  throw new GrpcError(Status.FAILED_PRECONDITION, "Init was not called");
}

/** Values that hints name with a flag. */
const HINTED_VALUES = "next|replace-same|replace|all|stream|staged|true";
/** Switches, which hints name without a value. */
const SWITCHES = new Set(["destroy_excluded", "protected", "all"]);

/**
 * A sentence with the flags of our command line written as plakar's users give options: `--newid next` is
 * `newid=next`. Flags of other programs stay as they are.
 */
export function inPlakarsWords(text: string): string {
  const keys = Object.keys({ ...OPTIONS.importer, ...OPTIONS.exporter });
  const flags = new Map(keys.map((key) => [flagName(key), key]));
  const pattern = new RegExp(`(--[a-z-]+)(?: (${HINTED_VALUES})\\b)?`, "g");
  return text.replaceAll(/--force\b/g, "if_exists=replace").replaceAll(
    pattern,
    (whole, flag: string, value?: string) => {
      const key = flags.get(flag);
      if (key === undefined) return whole;
      if (value !== undefined) return `${key}=${value}`;
      return SWITCHES.has(key) ? `${key}=true` : key;
    },
  );
}
