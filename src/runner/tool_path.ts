import { commandNotStarted, toolName } from "./command_error.ts";
import type { Argv, CommandError } from "./runner.ts";

// A login that is not root's may lack these, where Proxmox installs qm, pct and qmrestore.
const SYSTEM_DIRS = ["/usr/sbin", "/sbin"];

const PROXMOX_TOOLS = ["vzdump", "qmrestore", "qm", "pct", "pvesh", "pveversion"];

/** `path` with the system directories appended that it lacks. */
export function searchPath(path: string | undefined): string {
  const dirs = (path ?? "/usr/local/bin:/usr/bin:/bin").split(":").filter(Boolean);
  return [...dirs, ...SYSTEM_DIRS.filter((dir) => !dirs.includes(dir))].join(":");
}

/**
 * The program file of `argv`, looked up by ourselves: behind a shell a missing tool would only be a status 127.
 * Rejects with a `CommandError`, reason `not-found` or `not-executable`.
 */
export async function findTool(argv: Argv, path: string): Promise<string> {
  const tool = argv[0];
  const candidates = tool.includes("/") ? [tool] : path.split(":").map((dir) => `${dir}/${tool}`);
  let found: string | undefined;
  for (const candidate of candidates) {
    const info = await Deno.stat(candidate).catch(() => null);
    if (!info?.isFile) continue;
    if ((info.mode ?? 0) & 0o111) return candidate;
    found ??= candidate;
  }
  if (found) throw notExecutable(argv, found);
  throw notFound(argv, path);
}

/** The program's file `found` lacks the right to be executed. */
export function notExecutable(argv: Argv, found: string): CommandError {
  return commandNotStarted(argv, "not-executable", `"${found}" is not executable`);
}

/** The program is nowhere on `path`. */
export function notFound(argv: Argv, path: string): CommandError {
  const where = argv[0].includes("/") ? "not found" : `not found in PATH (${path})`;
  const hint = PROXMOX_TOOLS.includes(toolName(argv))
    ? "run this on the Proxmox node"
    : "install it on the node";
  return commandNotStarted(argv, "not-found", `${where}; ${hint}`);
}
