/** qmrestore, the part before the worker: parameters, pool, file, and the locked configuration. */
import { parseArguments, type ParsedArguments } from "./args.ts";
import { archiveFile } from "./archive_path.ts";
import { configValue, withValue } from "./config.ts";
import { type Context, ToolError } from "./context.ts";
import { checkQuorum, occupant } from "./guest_lookup.ts";
import { runTask } from "./job.ts";
import { type SimState, updateState } from "./state.ts";
import { usableStorage } from "./storage.ts";

/** What the worker needs. */
export interface VmRestore {
  vmid: number;
  /** `-` or the archive's real path. */
  archive: string;
  /** True: the target existed and may be overwritten. */
  overwrite: boolean;
  storage?: string;
  pool?: string;
  unique: boolean;
  start: boolean;
  bwlimit: number;
}

export function checkPool(state: SimState, pool: string | undefined): void {
  if (pool !== undefined && state.pools[pool] === undefined) {
    throw new ToolError(`403 Permission check failed (pool '${pool}' does not exist)`);
  }
}

/** Creates the configuration, or takes over an existing VM's. From here on it carries `lock: create`. */
function createAndLock(context: Context, vmid: number, force: boolean): boolean {
  const refuse = (reason: string) => new ToolError(`unable to restore VM ${vmid} - ${reason}`);
  return updateState(context.dir, (state) => {
    const guest = state.guests[vmid];
    if (guest === undefined) {
      state.guests[vmid] = {
        vmid,
        kind: "qemu",
        node: context.node,
        config: "lock: create\n",
        status: "stopped",
        broadcast: false,
      };
      return false;
    }
    if (!force) throw refuse(occupant(state, vmid)!);
    if (guest.kind !== "qemu" || guest.node !== context.node) {
      const path = `/etc/pve/nodes/${context.node}/qemu-server/${vmid}.conf`;
      throw refuse(`close (rename) atomic file '${path}' failed: File exists`);
    }
    const lock = configValue(guest.config, "lock");
    if (lock !== undefined) throw refuse(`VM is locked (${lock})`);
    guest.config = withValue(guest.config, "lock", "create");
    return true;
  });
}

function restoreData(context: Context, parsed: ParsedArguments): Omit<VmRestore, "overwrite"> {
  const archive = parsed.required("archive");
  const storage = parsed.text("storage");
  const pool = parsed.text("pool");
  checkPool(context.state, pool);
  if (storage !== undefined) usableStorage(context.state, storage, context.node);
  if (parsed.flag("live-restore")) {
    throw new ToolError("400 live-restore: option is only allowed for PBS backups");
  }
  return {
    vmid: parsed.number("vmid")!,
    archive: archive === "-" ? "-" : archiveFile(context, archive),
    ...(storage === undefined ? {} : { storage }),
    ...(pool === undefined ? {} : { pool }),
    unique: parsed.flag("unique"),
    start: parsed.flag("start"),
    bwlimit: parsed.number("bwlimit") ?? 0,
  };
}

export async function qmrestore(context: Context): Promise<number> {
  const parsed = parseArguments("qmrestore", context.argv, context.state.release);
  checkQuorum(context.state);
  const data = restoreData(context, parsed);
  const overwrite = createAndLock(context, data.vmid, parsed.flag("force"));
  const task: VmRestore = { ...data, overwrite };
  return await runTask(context, { tool: "qmrestore", task: "qmrestore", vmid: data.vmid, data: task });
}
