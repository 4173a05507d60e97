import type { CommandEnd } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import type { GuestId } from "./guest_control.ts";

/** Longest archive path that `qmrestore` takes (its option parser: "archive: value may only be 255 characters long"). */
export const ARCHIVE_PATH_LIMIT = 255;

export interface RestoreRequest {
  target: GuestId;
  /** Absolute path of an archive on the node, under a canonical name: its suffix alone tells the tools what it is. */
  archivePath: string;
  /**
   * Replace the guest that stands under the target's vmid. Only where the accepted plan says so: without it
   * the tools themselves refuse a guest that came in the meantime.
   */
  replace: boolean;
  storage?: string | undefined;
  pool?: string | undefined;
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
  if (request.pool !== undefined) argv.push("--pool", request.pool);
  if (request.unique) argv.push("--unique", "1");
  if (request.bwlimit !== undefined) argv.push("--bwlimit", String(request.bwlimit));
  return argv;
}

/** Runs the restore tool to its end; it is never interrupted by us. The caller judges the status. */
export function runRestoreTool(node: ProxmoxNode, request: RestoreRequest): Promise<CommandEnd> {
  return node.runner.finish(restoreArgv(request), {
    logDir: request.logDir,
    hold: request.hold,
    onLog: request.onLog,
  });
}

/** qmrestore's own progress in percent out of one of its log lines; it may pass 100 with small, odd disks. */
export function restorePercentOf(line: string): number | undefined {
  const found = /^progress (\d+)% \(/.exec(line);
  return found ? Math.min(100, Number(found[1])) : undefined;
}
