import type { BackupRequest } from "../backup/request.ts";
import { type Selected, selectGuests, type Selection } from "../backup/select.ts";
import type { BackupOptions } from "../config/options.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import { requireNode } from "../proxmox/nodes.ts";
import type { DumpSettings } from "../proxmox/vzdump.ts";

/** Applies the selection to the guests of the cluster that `entry` belongs to. */
export async function selectOn(entry: ProxmoxNode, selection: Selection): Promise<Selected> {
  if (selection.node !== undefined && selection.node !== "all") requireNode(entry, selection.node);
  return selectGuests(await listGuests(entry), selection, entry.name);
}

/** What the backup flow needs, out of the options. */
export function backupRequest(options: BackupOptions, selected: Selected): BackupRequest {
  return {
    selected,
    settings: dumpSettings(options),
    method: options.backup_method,
    dumpDir: options.dump_dir,
    maxNodes: options.max_nodes,
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
