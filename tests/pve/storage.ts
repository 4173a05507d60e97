/** Storages and volumes. The functions that change something expect to run inside `updateState`. */
import { splitVolumeId } from "./config.ts";
import { ToolError } from "./context.ts";
import type { GuestKind, SimState, StorageState, VolumeState } from "./state.ts";

const FILE_BASED = new Set(["dir", "nfs", "cifs", "btrfs", "glusterfs", "cephfs"]);

export function isFileBased(storage: StorageState): boolean {
  return FILE_BASED.has(storage.type);
}

/** The storage, if this node may use it. */
export function usableStorage(state: SimState, id: string, node: string): StorageState {
  const storage = state.storages[id];
  if (storage === undefined) throw new ToolError(`storage '${id}' does not exist`);
  if (!storage.enabled) throw new ToolError(`storage '${id}' is disabled`);
  if (storage.nodes !== undefined && !storage.nodes.includes(node)) {
    throw new ToolError(`storage '${id}' is not available on node '${node}'`);
  }
  return storage;
}

export function hasContent(storage: StorageState, type: string): boolean {
  return storage.content.split(",").includes(type);
}

/** Bytes, as `node` sees them: all zero for an inactive storage. */
export function usage(
  state: SimState,
  id: string,
  node?: string,
): { total: number; used: number; avail: number } {
  const storage = state.storages[id]!;
  if (!storage.active) return { total: 0, used: 0, avail: 0 };
  let used = 0;
  for (const volume of Object.values(state.volumes)) if (volume.storage === id) used += volume.size;
  const total = storage.totals?.[node ?? ""] ?? storage.total;
  return { total, used, avail: Math.max(0, total - used) };
}

/** Directory of the volumes' files of one storage. */
export function volumeDirectory(dir: string, storage: string): string {
  return `${dir}/volumes/${storage}`;
}

export interface VolumeRequest {
  storage: string;
  vmid: number;
  kind: GuestKind;
  /** Bytes. */
  size: number;
  seed?: number;
  synthetic?: boolean;
}

function freeName(state: SimState, request: VolumeRequest, storage: StorageState): string {
  for (let number = 0;; number++) {
    const stem = `${
      storage.type === "zfspool" && request.kind === "lxc" ? "subvol" : "vm"
    }-${request.vmid}-disk-${number}`;
    const name = isFileBased(storage) ? `${request.vmid}/${stem}.raw` : stem;
    if (state.volumes[`${request.storage}:${name}`] === undefined) return name;
  }
}

/** Allocates a volume and answers its id; its file or directory is made unless it stays imaginary. */
export function allocateVolume(state: SimState, dir: string, request: VolumeRequest): string {
  const storage = state.storages[request.storage]!;
  const { avail } = usage(state, request.storage);
  if (!storage.active) throw new ToolError(`storage '${request.storage}' is not online`);
  if (request.size > avail) throw new ToolError(`not enough free space (${avail} < ${request.size})`);
  const id = `${request.storage}:${freeName(state, request, storage)}`;
  const volume: VolumeState = {
    storage: request.storage,
    vmid: request.vmid,
    size: request.size,
    format: "raw",
    seed: request.seed ?? 0,
    synthetic: request.synthetic ?? false,
  };
  if (!volume.synthetic && !storage.discard) {
    const name = id.slice(request.storage.length + 1).replaceAll("/", "_");
    volume.path = `${volumeDirectory(dir, request.storage)}/${name}`;
    Deno.mkdirSync(volumeDirectory(dir, request.storage), { recursive: true });
    if (request.kind === "lxc") Deno.mkdirSync(volume.path, { recursive: true });
    else Deno.openSync(volume.path, { create: true, truncate: true, write: true }).close();
    if (request.kind === "qemu") Deno.truncateSync(volume.path, request.size);
  }
  state.volumes[id] = volume;
  return id;
}

/** Frees a volume; one that does not exist is fine. */
export function freeVolume(state: SimState, id: string): void {
  const path = state.volumes[id]?.path;
  delete state.volumes[id];
  if (path === undefined) return;
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Type of the storage behind a volume id, undefined for paths and unknown storages. */
export function storageOf(state: SimState, volume: string): StorageState | undefined {
  const parts = splitVolumeId(volume);
  return parts ? state.storages[parts.storage] : undefined;
}
