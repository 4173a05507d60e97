/** pct restore, the part before the worker: which volumes, which storage, whose vmid. */
import type { ParsedArguments } from "./args.ts";
import { configValue, isTrue, parseDisk, withValue } from "./config.ts";
import { type Context, ToolError } from "./context.ts";
import { occupant } from "./guest_lookup.ts";
import { runTask } from "./job.ts";
import { checkPool } from "./qmrestore.ts";
import { updateState } from "./state.ts";
import { hasContent, usableStorage } from "./storage.ts";

/** What the worker needs. */
export interface ContainerRestore {
  vmid: number;
  /** `-`, or the argument as given: it is resolved by the worker only. */
  archive: string;
  overwrite: boolean;
  storage: string;
  /** `rootfs` and `mpN` as given: advanced mode. */
  volumes: Record<string, string>;
  /** All other container options as given. */
  config: Record<string, string>;
  pool?: string;
  unique: boolean;
  start: boolean;
  ignoreErrors: boolean;
}

const NOT_CONFIG = new Set([
  "vmid",
  "ostemplate",
  "storage",
  "pool",
  "force",
  "unique",
  "start",
  "ignore-unpack-errors",
  "bwlimit",
  "password",
  "ssh-public-keys",
  "ha-managed",
]);
const VOLUME_KEY = /^(rootfs|mp\d+)$/;

/** Size and storage of a volume to allocate: `local-lvm:8` or `8` (GiB, on --storage). */
export function newVolume(value: string, storage: string): { storage: string; size: number } | undefined {
  const { volume, options } = parseDisk("rootfs", value);
  const match = /^(?:([^:\s]+):)?(\d+(?:\.\d+)?)$/.exec(options.get("volume") ?? volume);
  return match ? { storage: match[1] ?? storage, size: Math.round(Number(match[2]) * 1024 ** 3) } : undefined;
}

/** Every storage that will get a volume must take containers. */
function checkStorages(context: Context, data: ContainerRestore): void {
  const values = Object.entries(data.volumes);
  const wanted = values.length === 0
    ? [data.storage]
    : values.map(([, value]) => newVolume(value, data.storage)?.storage).filter((id) => id !== undefined);
  for (const id of new Set(wanted)) {
    if (hasContent(usableStorage(context.state, id, context.node), "rootdir")) continue;
    throw new ToolError(
      `400 Parameter verification failed.\nstorage: storage '${id}' does not support container directories\n` +
        "pct restore <vmid> <ostemplate> [OPTIONS]",
    );
  }
}

/** Creates the configuration, or takes over an existing container's. */
function createAndLock(context: Context, vmid: number, force: boolean): boolean {
  const refuse = (reason: string) => new ToolError(`unable to restore CT ${vmid} - ${reason}`);
  return updateState(context.dir, (state) => {
    const guest = state.guests[vmid];
    if (guest === undefined) {
      const base = {
        vmid,
        node: context.node,
        config: "lock: create\n",
        status: "stopped",
        broadcast: false,
      };
      state.guests[vmid] = { ...base, kind: "lxc" };
      return false;
    }
    // A VM is never overwritten, nor another node's container.
    if (!force || guest.kind !== "lxc" || guest.node !== context.node) {
      throw new ToolError(occupant(state, vmid)!);
    }
    if (guest.status !== "stopped") throw new ToolError("can't overwrite running container");
    if (isTrue(configValue(guest.config, "protection"))) throw refuse("protection mode enabled");
    const lock = configValue(guest.config, "lock");
    if (lock !== undefined) throw refuse(`CT is locked (${lock})`);
    guest.config = withValue(guest.config, "lock", "create");
    return true;
  });
}

function restoreData(parsed: ParsedArguments): ContainerRestore {
  const volumes: Record<string, string> = {};
  const config: Record<string, string> = {};
  for (const [key, value] of parsed.values) {
    if (VOLUME_KEY.test(key)) volumes[key] = value;
    else if (!NOT_CONFIG.has(key)) config[key] = value;
  }
  const pool = parsed.text("pool");
  return {
    vmid: parsed.number("vmid")!,
    archive: parsed.required("ostemplate"),
    overwrite: false,
    storage: parsed.text("storage") ?? "local",
    volumes,
    config,
    ...(pool === undefined ? {} : { pool }),
    unique: parsed.flag("unique"),
    start: parsed.flag("start"),
    ignoreErrors: parsed.flag("ignore-unpack-errors"),
  };
}

export async function pctRestore(context: Context, parsed: ParsedArguments): Promise<number> {
  const data = restoreData(parsed);
  checkPool(context.state, data.pool);
  if (data.archive === "-" && data.volumes.rootfs === undefined) {
    throw new ToolError("restore from pipe requires rootfs parameter");
  }
  if (Object.keys(data.volumes).length > 0 && data.volumes.rootfs === undefined) {
    throw new ToolError("mount points configured, but 'rootfs' not set - aborting");
  }
  checkStorages(context, data);
  data.overwrite = createAndLock(context, data.vmid, parsed.flag("force"));
  return await runTask(context, { tool: "pct restore", task: "pctrestore", vmid: data.vmid, data });
}
