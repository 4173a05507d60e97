import type { BackupRequest } from "../backup/backup_run.ts";
import { type Selected, selectGuests, type Selection } from "../backup/select.ts";
import type { BackupOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import type { DumpSettings } from "../proxmox/vzdump.ts";

/** Applies the selection to the guests there are. */
export async function selectOn(node: ProxmoxNode, selection: Selection): Promise<Selected> {
  const wanted = selection.node;
  if (wanted !== undefined && !node.nodes.some(({ name }) => name === wanted)) {
    const names = node.nodes.map(({ name }) => name).join(", ");
    throw new UserError("usage", `Cannot find node "${wanted}" in the cluster`, {
      hint: `there are ${names}`,
    });
  }
  return selectGuests(await listGuests(node), selection, node.name);
}

/** What the backup flow needs, out of the options. */
export function backupRequest(options: BackupOptions, selected: Selected): BackupRequest {
  return {
    selected,
    settings: dumpSettings(options),
    method: options.backup_method,
    dumpDir: options.dump_dir,
    stallTimeout: options.stall_timeout,
    onError: options.on_error,
    cleanup: options.cleanup,
    options: Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  };
}

function dumpSettings(options: BackupOptions): DumpSettings {
  return {
    mode: options.backup_mode,
    compress: options.backup_compression,
    notify: options.notify,
    hooks: options.hooks,
    lockwait: options.lockwait,
    bwlimit: options.bwlimit,
    ionice: options.ionice,
    zstdThreads: options.zstd_threads,
    fleecing: options.fleecing,
    tmpdir: options.tmpdir,
  };
}
