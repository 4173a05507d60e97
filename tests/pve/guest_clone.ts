/** Full clones and moved disks. */
import {
  configEntries,
  configValue,
  type DiskLine,
  diskLines,
  isCdrom,
  splitSections,
  withValue,
} from "./config.ts";
import type { GuestTask } from "./guest_job.ts";
import { checkLock, labelOf, localGuest } from "./guest_lookup.ts";
import { renewIdentity } from "./identity.ts";
import { faultsOf, type GuestKind, type GuestState, readState, type SimState, updateState } from "./state.ts";
import { allocateVolume, freeVolume, usableStorage } from "./storage.ts";
import type { Job } from "./worker.ts";

interface Copy {
  from: string;
  to: string;
}

/** Reserves the new guest with its volumes, locked; answers which files have to be copied. */
function reserve(state: SimState, job: Job, task: GuestTask, vmid: number, copies: Copy[]): void {
  const source = localGuest(state, job.node, task.kind, vmid);
  checkLock(source);
  if (task.kind === "lxc" && source.status !== "stopped") {
    throw new Error("Full clone of a running container is only possible from a snapshot");
  }
  const newid = Number(task.options.newid);
  if (state.guests[newid] !== undefined) {
    throw new Error(`unable to create ${labelOf(task.kind)} ${newid}: config file already exists`);
  }
  const pool = task.options.pool;
  if (pool !== undefined && state.pools[pool] === undefined) throw new Error(`pool '${pool}' does not exist`);
  const guest: GuestState = {
    ...source,
    vmid: newid,
    status: "stopped",
    config: withValue(splitSections(source.config).current, "lock", "clone"),
  };
  delete guest.ha;
  delete guest.pool;
  if (pool !== undefined) guest.pool = pool;
  for (const disk of diskLines(task.kind, source.config, true)) {
    const volume = state.volumes[disk.volume];
    if (isCdrom(disk) || disk.key.startsWith("unused")) continue;
    if (volume === undefined) throw new Error(notCloned(task.kind, disk));
    const storage = task.options.storage ?? volume.storage;
    usableStorage(state, storage, job.node);
    const request = { storage, vmid: newid, kind: task.kind, size: volume.size, seed: volume.seed };
    const id = allocateVolume(state, job.dir, { ...request, synthetic: volume.synthetic });
    guest.config = withValue(guest.config, disk.key, disk.value.replace(disk.volume, id));
    const to = state.volumes[id]!.path;
    if (volume.path !== undefined && to !== undefined) copies.push({ from: volume.path, to });
  }
  const unused = [...configEntries(guest.config).keys()].filter((key) => key.startsWith("unused"));
  for (const key of ["template", "parent", ...unused]) {
    guest.config = withValue(guest.config, key, undefined);
  }
  guest.config = renewIdentity(guest.config, task.kind, vmid);
  const name = task.options.name ?? task.options.hostname;
  if (name !== undefined) {
    guest.config = withValue(guest.config, task.kind === "qemu" ? "name" : "hostname", name);
  }
  state.guests[newid] = guest;
  // A container is locked while it is copied, a VM is not.
  if (task.kind === "lxc") source.config = withValue(source.config, "lock", "disk");
}

/** What is no volume of a storage is not copied. */
function notCloned(kind: GuestKind, { key, volume }: DiskLine): string {
  return kind === "lxc"
    ? `unable to clone mountpoint '${key}' (type ${volume.startsWith("/dev/") ? "device" : "bind"})`
    : `Full clone feature is not supported for '${volume}' (${key})`;
}

export async function cloneGuest(job: Job, task: GuestTask, vmid: number): Promise<void> {
  const copies: Copy[] = [];
  const newid = Number(task.options.newid);
  updateState(job.dir, (state) => reserve(state, job, task, vmid, copies));
  job.print(`creating a clone of ${task.kind === "qemu" ? "VM" : "container"} ${vmid} with ID ${newid}`);
  try {
    await copyVolumes(job, vmid, copies);
  } catch (error) {
    updateState(job.dir, (state) => undo(state, vmid, newid));
    throw new Error(`clone failed: ${(error as Error).message}`);
  }
  updateState(job.dir, (state) => {
    for (const id of [vmid, newid]) {
      const guest = state.guests[id]!;
      const lock = configValue(guest.config, "lock");
      if (lock === "disk" || lock === "clone") guest.config = withValue(guest.config, "lock", undefined);
    }
    state.guests[newid]!.broadcast = true;
  });
}

/** What a failed clone leaves: nothing. */
function undo(state: SimState, vmid: number, newid: number): void {
  for (const [id, volume] of Object.entries(state.volumes)) if (volume.vmid === newid) freeVolume(state, id);
  delete state.guests[newid];
  const source = state.guests[vmid];
  if (source && configValue(source.config, "lock") === "disk") {
    source.config = withValue(source.config, "lock", undefined);
  }
}

async function copyVolumes(job: Job, vmid: number, copies: readonly Copy[]): Promise<void> {
  const { cloneFails, cloneMs = 0 } = faultsOf(readState(job.dir), vmid);
  for (const { from, to } of copies) {
    job.print(`create full clone of drive (${from.split("/").pop()})`);
    const status = await job.shell(
      'if [ -d "$1" ]; then cp -a "$1/." "$2/"; else cp --sparse=always "$1" "$2"; fi',
      [from, to],
    );
    if (!status.success) throw new Error("copying a volume failed");
  }
  await job.pause(cloneMs);
  if (cloneFails !== undefined) throw new Error(cloneFails);
}

/** Moves a disk to another storage; without `--delete 1` the old volume becomes unused. */
export function moveDisk(job: Job, task: GuestTask, vmid: number): void {
  updateState(job.dir, (state) => {
    const guest = localGuest(state, job.node, task.kind, vmid);
    checkLock(guest);
    const { disk: key = "", storage = "" } = task.options;
    const disk = diskLines(task.kind, guest.config).find((line) => line.key === key);
    const volume = disk && state.volumes[disk.volume];
    if (disk === undefined || volume === undefined) throw new Error(`disk '${key}' does not exist`);
    usableStorage(state, storage, job.node);
    const request = { storage, vmid, kind: task.kind, size: volume.size, seed: volume.seed };
    const id = allocateVolume(state, job.dir, { ...request, synthetic: volume.synthetic });
    const to = state.volumes[id]!.path;
    if (volume.path !== undefined && to !== undefined) Deno.copyFileSync(volume.path, to);
    guest.config = withValue(guest.config, key, disk.value.replace(disk.volume, id));
    if (task.options.delete === "1") freeVolume(state, disk.volume);
    else if (configValue(guest.config, "unused0") === undefined) {
      guest.config = withValue(guest.config, "unused0", disk.volume);
    }
  });
}
