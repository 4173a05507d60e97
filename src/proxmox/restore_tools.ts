import { UserError } from "../core/errors.ts";
import { quoteWords } from "../core/shell_words.ts";
import type { CommandEnd, JobSink } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { control, type GuestId, tool } from "./guest_control.ts";
import { setArgs } from "./guest_settings.ts";

export type { CommandEnd, JobSink };

/** Longest archive path that `qmrestore` takes (its option parser: "archive: value may only be 255 characters long"). */
export const ARCHIVE_PATH_LIMIT = 255;

export interface RestoreRequest {
  target: GuestId;
  /**
   * Absolute path of an archive on the node, under a canonical name: its suffix alone tells the tools what it is;
   * `-`: an archive without compression is fed to the tool.
   */
  archivePath: string;
  /**
   * Replace the guest that stands under the target's vmid. Only where the accepted plan says so: without it
   * the tools themselves refuse a guest that came in the meantime.
   */
  replace: boolean;
  storage?: string | undefined;
  /** A container's volumes by key, each with all of its options: `local-lvm:8,mp=/data,backup=1`. */
  volumes?: Readonly<Record<string, string>> | undefined;
  /** A container that `pct restore -` must be told about: it sees the configuration too late. */
  unprivileged?: true | undefined;
  pool?: string | undefined;
  /** Set by the very job that restores the guest, so that it has them also when we are gone by then. */
  settings?: Readonly<Record<string, string>> | undefined;
  /** New MAC addresses, and a new smbios uuid for VMs. */
  unique: boolean;
  /** KiB/s. */
  bwlimit?: number | undefined;
  /** Directory for the log, see `JobOptions`. */
  logDir: string;
  /** See `JobOptions.hold`. */
  hold: string;
  onLog: (line: string) => void;
}

/**
 * The restore call: `qmrestore ARCHIVE VMID` for VMs, `pct restore VMID ARCHIVE` for containers, positionals
 * first and every flag with its value.
 */
export function restoreArgv(request: RestoreRequest): [string, ...string[]] {
  const { target, archivePath } = request;
  const vmid = String(target.vmid);
  const argv: [string, ...string[]] = target.kind === "qemu"
    ? ["qmrestore", archivePath, vmid]
    : ["pct", "restore", vmid, archivePath];
  if (request.replace) argv.push("--force", "1");
  if (request.storage !== undefined) argv.push("--storage", request.storage);
  for (const [key, value] of Object.entries(request.volumes ?? {})) argv.push(`--${key}`, value);
  if (request.unprivileged) argv.push("--unprivileged", "1");
  if (request.pool !== undefined) argv.push("--pool", request.pool);
  if (request.unique) argv.push("--unique", "1");
  if (request.bwlimit !== undefined) argv.push("--bwlimit", String(request.bwlimit));
  return argv;
}

/**
 * Runs the restore tool to its end; it is never interrupted by us. The caller judges the status.
 *
 * @throws {UserError} of kind `unreachable` when the way to the node was lost meanwhile: the tool goes on
 */
export async function runRestoreTool(node: ProxmoxNode, request: RestoreRequest): Promise<CommandEnd> {
  const { logDir, hold, onLog, settings } = request;
  const argv = settings ? thenSet(request, settings) : restoreArgv(request);
  const end = await node.runner.finish(argv, { logDir, hold, onLog });
  if (end.status >= 0) return end;
  const why = /\[(.*)\]\s*$/.exec(end.logTail)?.[1] ?? `Lost touch with ${node.runner.label}`;
  throw new UserError("unreachable", why);
}

/** One command that restores the guest and then sets what it is to have; the end is that of the restore alone. */
function thenSet(request: RestoreRequest, settings: Readonly<Record<string, string>>): [string, ...string[]] {
  const { target } = request;
  const set = [tool(target), ...setArgs(target, { set: settings, remove: [] })];
  return ["sh", "-c", `${quoteWords(restoreArgv(request))} || exit; ${quoteWords(set)}; exit 0`];
}

/** Starts the restore tool on an archive that is fed to it; see `JobSink` for what ends it. */
export async function feedRestoreTool(
  node: ProxmoxNode,
  request: Omit<RestoreRequest, "archivePath">,
): Promise<JobSink> {
  const { logDir, hold, onLog } = request;
  return await node.runner.feed(restoreArgv({ ...request, archivePath: "-" }), { logDir, hold, onLog });
}

/** Gives a container mounts from its host, by key: `/srv/data,mp=/data`. */
export async function addHostMounts(
  node: ProxmoxNode,
  container: GuestId,
  mounts: Readonly<Record<string, string>>,
): Promise<void> {
  const flags = Object.entries(mounts).flatMap(([key, value]) => [`--${key}`, value]);
  await control(node, container, "add host mounts to", ["set", String(container.vmid), ...flags]);
}

/** qmrestore's own progress in percent out of one of its log lines; it may pass 100 with small, odd disks. */
export function restorePercentOf(line: string): number | undefined {
  const found = /^progress (\d+)% \(/.exec(line);
  return found ? Math.min(100, Number(found[1])) : undefined;
}
