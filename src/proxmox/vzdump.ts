import { UserError } from "../core/errors.ts";
import { lastWords } from "../runner/command_error.ts";
import type { ProxmoxNode } from "./cluster.ts";
import type { GuestId } from "./guest_control.ts";
import { isAtLeast, type Release } from "./release.ts";

/** How one guest is dumped. Settings that are absent are left to the node's /etc/vzdump.conf. */
export interface DumpSettings {
  mode: "snapshot" | "suspend" | "stop";
  /** As vzdump spells it. */
  compress: "0" | "1" | "lzo" | "gzip" | "zstd";
  notify: "off" | "pve";
  /** False: no hook script, whatever vzdump.conf says. */
  hooks: boolean;
  /** Minutes to wait for another vzdump on the node. */
  lockwait: number;
  /** KiB/s. */
  bwlimit?: number | undefined;
  ionice?: number | undefined;
  zstdThreads?: number | undefined;
  /** Storage id for fleecing images; VMs only. */
  fleecing?: string | undefined;
  tmpdir?: string | undefined;
}

/**
 * Refuses settings that the node's vzdump does not know.
 *
 * @throws {UserError} of kind `usage`
 */
export function requireSupported(settings: DumpSettings, release: Release): void {
  if (settings.fleecing === undefined || isAtLeast(release, 8, 2)) return;
  throw new UserError("usage", `Cannot use fleecing: the node has Proxmox VE ${release.text}`, {
    hint: "fleecing needs 8.2 or later",
  });
}

/**
 * The vzdump call for one guest. Every flag has its value: a bare boolean would swallow the next word.
 *
 * `workDir` must be a directory of our own. vzdump leaves its log in there even when it streams, puts its
 * temporary files there, and prunes in there if vzdump.conf has `prune-backups`; giving it also keeps a
 * `storage:` of vzdump.conf from clashing with --stdout.
 */
export function vzdumpArgv(
  guest: GuestId,
  settings: DumpSettings,
  release: Release,
  workDir: string,
  target: "stdout" | "file",
): [string, ...string[]] {
  const options: Record<string, string | undefined> = {
    mode: settings.mode,
    compress: settings.compress,
    dumpdir: workDir,
    stdout: target === "stdout" ? "1" : undefined,
    "prune-backups": "keep-all=1",
    lockwait: String(settings.lockwait),
    bwlimit: settings.bwlimit?.toString(),
    ionice: settings.ionice?.toString(),
    zstd: settings.compress === "zstd" ? settings.zstdThreads?.toString() : undefined,
    tmpdir: settings.tmpdir,
    // There is no option for "no hook script", and an empty path is not documented to mean that.
    script: settings.hooks ? undefined : "/bin/true",
    fleecing: guest.kind === "qemu" && settings.fleecing
      ? `enabled=1,storage=${settings.fleecing}`
      : undefined,
    ...(settings.notify === "off" ? silence(release) : {}),
  };
  const argv: [string, ...string[]] = ["vzdump", String(guest.vmid)];
  for (const [name, value] of Object.entries(options)) if (value !== undefined) argv.push(`--${name}`, value);
  return argv;
}

/**
 * vzdump notifies once per call, that is once per guest. An empty --mailto overrides the one of vzdump.conf;
 * from 8.0 on the notification system has to be told too, by another option in 8.0 than from 8.1 on.
 */
function silence(release: Release): Record<string, string> {
  if (isAtLeast(release, 8, 1)) return { mailto: "", "notification-mode": "legacy-sendmail" };
  if (isAtLeast(release, 8, 0)) return { mailto: "", "notification-policy": "never" };
  return { mailto: "" };
}

/** vzdump's own progress in percent out of one of its log lines; containers have none. */
export function percentOf(line: string): number | undefined {
  const found = /^INFO:\s+(\d{1,3})% \(/.exec(line);
  return found ? Number(found[1]) : undefined;
}

/** Whether the line says that vzdump waits for the node's only vzdump lock. */
export function waitsForLock(line: string): boolean {
  return line.startsWith("INFO: trying to get global lock");
}

/** The task (UPID) that holds the node's vzdump lock, as vzdump itself notes it; `undefined` where that is not to be read. */
export async function vzdumpLockHolder(node: ProxmoxNode): Promise<string | undefined> {
  const text = await node.runner.files.readText("/var/run/vzdump.pid").catch(() => null);
  return /^UPID:\S+/.exec(text ?? "")?.[0];
}

/** Whether the line says that the wait is over. */
export function gotLock(line: string): boolean {
  return line.startsWith("INFO: got global lock");
}

/** The reason that a failed tool gave in its log, without what the message around it says anyway. */
export function lastError(log: string): string | undefined {
  return lastWords(log).replace(/^(TASK )?ERROR: (Backup of VM \d+ failed - |Backup job failed - )?/, "") ||
    undefined;
}
