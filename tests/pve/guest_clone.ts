/** Full clones and moved disks. */
import { configValue, diskLines, isCdrom, splitSections, withValue } from "./config.ts";
import type { GuestTask } from "./guest_job.ts";
import { checkLock, labelOf, localGuest } from "./guest_lookup.ts";
import { renewIdentity } from "./identity.ts";
import { type GuestState, type SimState, updateState } from "./state.ts";
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
    if (isCdrom(disk) || volume === undefined || disk.key.startsWith("unused")) continue;
    const storage = task.options.storage ?? volume.storage;
    usableStorage(state, storage, job.node);
    const request = { storage, vmid: newid, kind: task.kind, size: volume.size, seed: volume.seed };
    const id = allocateVolume(state, job.dir, { ...request, synthetic: volume.synthetic });
    guest.config = withValue(guest.config, disk.key, disk.value.replace(disk.volume, id));
    const to = state.volumes[id]!.path;
    if (volume.path !== undefined && to !== undefined) copies.push({ from: volume.path, to });
  }
  for (const key of ["template", "parent", "unused0", "unused1"]) {
    guest.config = withValue(guest.config, key, undefined);
  }
  guest.config = renewIdentity(guest.config, task.kind, newid);
  const name = task.options.name ?? task.options.hostname;
  if (name !== undefined) {
    guest.config = withValue(guest.config, task.kind === "qemu" ? "name" : "hostname", name);
  }
  state.guests[newid] = guest;
}

export async function cloneGuest(job: Job, task: GuestTask, vmid: number): Promise<void> {
  const copies: Copy[] = [];
  updateState(job.dir, (state) => reserve(state, job, task, vmid, copies));
  for (const { from, to } of copies) {
    job.print(`create full clone of drive (${from.split("/").pop()})`);
    const status = await job.shell(
      'if [ -d "$1" ]; then cp -a "$1/." "$2/"; else cp --sparse=always "$1" "$2"; fi',
      [from, to],
    );
    if (!status.success) throw new Error("clone failed: copying a volume failed");
  }
  updateState(job.dir, (state) => {
    const guest = state.guests[Number(task.options.newid)]!;
    guest.config = withValue(guest.config, "lock", undefined);
  });
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
