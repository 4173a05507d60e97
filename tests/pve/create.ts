/** From options to a state directory with executables. */
import type { GuestSpec } from "./guests.ts";
import { TOOLS, wrapperScript } from "./launch.ts";
import { DEFAULT_KNOBS, type Knobs, type SimState, type StorageState } from "./state.ts";

const GIB = 1024 ** 3;

export interface StorageSpec extends Partial<StorageState> {
  id: string;
}

export interface SimOptions {
  /** `7.0` … `9.2`; default `8.4`. */
  release?: string;
  /** Name of the (first) node; default `pve1`. */
  name?: string;
  /** Further nodes of the cluster, by name; `!name` is one that is offline. */
  otherNodes?: string[];
  /** Addresses of the nodes, in their order; default: 192.0.2.1 and following. */
  addresses?: string[];
  /** Added to (or replacing) `local` (backup, iso, vztmpl) and `local-lvm` (images, rootdir). */
  storages?: StorageSpec[];
  pools?: string[];
  guests?: GuestSpec[];
  knobs?: Partial<Knobs>;
  /** Directory for everything; default: a new temporary one, removed by `dispose`. */
  dir?: string;
}

function storageState(dir: string, spec: StorageSpec): StorageState {
  const { id, ...given } = spec;
  const type = given.type ?? "dir";
  const base: StorageState = {
    type,
    content: "images,rootdir",
    total: 64 * GIB,
    enabled: true,
    active: true,
    shared: false,
    snapshots: type === "lvmthin" || type === "zfspool" || type === "rbd",
  };
  if (type === "dir" || type === "nfs" || type === "cifs") base.path = `${dir}/storage/${id}`;
  return { ...base, ...given };
}

/** The state that `options` describe, guests not included. */
export function initialState(dir: string, options: SimOptions): SimState {
  const names = [options.name ?? "pve1", ...(options.otherNodes ?? [])];
  const state: SimState = {
    release: options.release ?? "8.4",
    cluster: names.length > 1 ? "simulated" : null,
    quorate: true,
    nodes: {},
    storages: {},
    pools: Object.fromEntries((options.pools ?? []).map((pool) => [pool, {}])),
    guests: {},
    volumes: {},
    faults: {},
    knobs: { ...DEFAULT_KNOBS, ...options.knobs },
  };
  names.forEach((name, index) => {
    const nodeid = names.length > 1 ? index + 1 : 0;
    const ip = options.addresses?.[index] ?? `192.0.2.${index + 1}`;
    state.nodes[name.replace(/^!/, "")] = { online: !name.startsWith("!"), ip, nodeid };
  });
  const local = { id: "local", type: "dir", content: "backup,iso,vztmpl", prune: "keep-all=1" };
  const thin = { id: "local-lvm", type: "lvmthin", content: "images,rootdir" };
  for (const spec of [local, thin, ...(options.storages ?? [])]) {
    state.storages[spec.id] = storageState(dir, spec);
  }
  return state;
}

/** Everything below the state directory, with the executables of each node. */
export function makeDirectories(dir: string, state: SimState): void {
  for (const name of ["run", "tmp", "dump", "volumes", "storage"]) {
    Deno.mkdirSync(`${dir}/${name}`, { recursive: true });
  }
  for (const node of Object.keys(state.nodes)) {
    Deno.mkdirSync(`${dir}/nodes/${node}/log`, { recursive: true });
    Deno.mkdirSync(`${dir}/bin/${node}`, { recursive: true });
    for (const tool of TOOLS) {
      const path = `${dir}/bin/${node}/${tool}`;
      Deno.writeTextFileSync(path, wrapperScript(tool, dir, node));
      Deno.chmodSync(path, 0o755);
    }
  }
  for (const storage of Object.values(state.storages)) {
    if (storage.path?.startsWith(dir)) Deno.mkdirSync(`${storage.path}/dump`, { recursive: true });
  }
}
