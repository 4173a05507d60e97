import type { z } from "zod";
import { messageOf, UserError } from "../core/errors.ts";
import { CommandError, type Runner } from "../runner/runner.ts";

/** Milliseconds one `pvesh` call may take; on a slow node it takes about one second. */
const PVESH_TIMEOUT = 60_000;

/**
 * Reads one path of the Proxmox API through `pvesh get`.
 * Options stand after the path: only then does pvesh know the method's parameters. Warnings of the
 * node's locale go to stderr and are left alone.
 *
 * @throws {UserError} with what pvesh said; of kind `unreachable` where there is no working Proxmox node
 */
export async function pveshGet<T>(
  runner: Runner,
  path: string,
  schema: z.ZodType<T>,
  parameters: Readonly<Record<string, string>> = {},
): Promise<T> {
  const argv = ["pvesh", "get", path, ...optionsOf(parameters), "--output-format", "json"] as const;
  let stdout: string;
  try {
    ({ stdout } = await runner.run(argv, { timeout: PVESH_TIMEOUT }));
  } catch (error) {
    throw explain(error, `Cannot read "${path}" from`, runner.label);
  }
  try {
    return schema.parse(JSON.parse(stdout));
  } catch (cause) {
    throw new UserError(
      "failed",
      `Cannot understand the answer of "pvesh get ${path}": ${shorten(messageOf(cause))}`,
      {
        cause,
      },
    );
  }
}

/** Whether a failure of `pvesh` says that the API of this node has no such path (pve-manager, PVE/CLI/pvesh.pm). */
export function isUnknownPath(error: unknown): boolean {
  return error instanceof UserError && /No '(get|set)' handler defined/.test(messageOf(error));
}

/**
 * Changes what one path of the Proxmox API tells, through `pvesh set`.
 *
 * @throws {UserError} as `pveshGet` does
 */
export async function pveshSet(
  runner: Runner,
  path: string,
  parameters: Readonly<Record<string, string>>,
): Promise<void> {
  try {
    await runner.run(["pvesh", "set", path, ...optionsOf(parameters)], { timeout: PVESH_TIMEOUT });
  } catch (error) {
    throw explain(error, `Cannot change "${path}" of`, runner.label);
  }
}

function optionsOf(parameters: Readonly<Record<string, string>>): string[] {
  return Object.entries(parameters).flatMap(([name, value]) => [`--${name}`, value]);
}

function shorten(message: string): string {
  return message.length > 200 ? `${message.slice(0, 200)}…` : message;
}

/** `what`: `Cannot read "/pools" from`. */
function explain(error: unknown, what: string, label: string): unknown {
  if (!(error instanceof CommandError)) return error;
  const said = `${error.message} ${error.end.logTail}`;
  if (error.reason === "not-found") {
    return new UserError("unreachable", `Cannot find Proxmox VE on ${label}: "pvesh" is not installed`, {
      hint: "run this on a Proxmox VE node",
      cause: error,
    });
  }
  // What a process without root gets from the cluster filesystem, instead of an answer.
  if (/Unable to load access control list|ipcc_send_rec/.test(said)) {
    const refused = /Connection refused/.test(said);
    return new UserError("unreachable", `Cannot ask Proxmox VE on ${label}: ${shorten(messageOf(error))}`, {
      hint: refused ? 'start the service "pve-cluster" first' : "run this as root",
      cause: error,
    });
  }
  return new UserError(
    "failed",
    `${what} Proxmox VE on ${label}: ${shorten(messageOf(error))}`,
    {
      cause: error,
    },
  );
}
