/**
 * The cluster's state: one JSON file under a real flock, replaced atomically, shared by all simulated
 * tools and the test that created it. Nothing else is kept in memory between two calls.
 */

import { runManager } from "./ha.ts";

export type GuestKind = "qemu" | "lxc";

/** One guest. `status` is QEMU's run state for VMs; `running` or `stopped` for containers. */
export interface GuestState {
  vmid: number;
  kind: GuestKind;
  node: string;
  /** The whole configuration file: description, current section, then `[PENDING]` and snapshots. */
  config: string;
  /** Content of the guest's firewall file. */
  firewall?: string;
  status: string;
  /** Milliseconds since the epoch. */
  startedAt?: number;
  pool?: string;
  /** Requested state of the HA resource; only for guests that have one. */
  ha?: string;
  /** The HA manager has given up on the guest: it wants to be disabled first. */
  haError?: boolean;
  /** A stop that the HA manager will take up at `at`, and the seconds for a clean shutdown. */
  haCommand?: { at: number; seconds: number };
  /** False: no status was broadcast yet, so the cluster lists it as `unknown` without a name. */
  broadcast?: boolean;
  /** A change that the HA manager will carry out at `at` (milliseconds since the epoch). */
  request?: { status: string; at: number };
}

export interface NodeState {
  online: boolean;
  ip: string;
  nodeid: number;
}

export interface StorageState {
  type: string;
  /** Comma-separated content types, e.g. `images,rootdir`. */
  content: string;
  /** Directory of file based storages; volumes of the others live below the state directory. */
  path?: string;
  /** Bytes. Used space is the sum of the volumes' sizes. */
  total: number;
  /** Bytes on single nodes: what is not shared is another storage of the same id on each. */
  totals?: Record<string, number>;
  enabled: boolean;
  active: boolean;
  shared: boolean;
  /** Absent: available on every node. */
  nodes?: string[];
  snapshots: boolean;
  prune?: string;
  /** Restored disks are compared with their generator instead of being stored. */
  discard?: boolean;
}

/** One volume: a raw file (`path`), a directory tree for containers, or generated data without a file. */
export interface VolumeState {
  storage: string;
  vmid: number;
  /** Bytes. */
  size: number;
  format: string;
  seed: number;
  synthetic: boolean;
  path?: string;
  /** Set when a restore onto a discarding storage compared every byte. */
  verified?: boolean;
}

/** What a simulated tool is told to do wrong for one guest. Absent: it behaves. */
export interface Faults {
  /** vzdump ends with this reason before the first byte. */
  failAtStart?: string;
  /** vzdump's writer fails after that many bytes. */
  failAfterBytes?: number;
  /** All bytes are written, then the guest's backup fails. */
  failAfterLastByte?: boolean;
  /** Exit 0 without a single byte. */
  emptyStream?: boolean;
  /** Hangs after that many bytes; 0 is before the first one. */
  hangAfterBytes?: number;
  /** The stream ends silently after that many bytes, exit 0. */
  cutAtBytes?: number;
  /** The target of a file-mode backup is full after that many bytes. */
  noSpaceAfterBytes?: number;
  /** Bytes of log noise before the first archive byte. */
  hugeLogBytes?: number;
  /** Binary garbage without a newline in the log. */
  binaryLog?: boolean;
  /** Bytes of one log line, before the first archive byte. */
  logLineBytes?: number;
  bytesPerSecond?: number;
  /** Seconds that vzdump's cleanup takes, spread over its steps. */
  cleanupSeconds?: number;
  /** VMs give a tar, containers a VMA. */
  wrongKind?: boolean;
  /** The byte at this offset of the archive is inverted. */
  flipByteAt?: number;
  /** A warning in the log of vzdump: the task ends well, with a note on stderr. */
  warning?: string;
  /** Waits that many milliseconds between the lock and the first byte. */
  delayMs?: number;
  /** A restore fails while the old guest is still intact, or after it was destroyed. */
  restoreFailsBeforeDestroy?: string;
  restoreFailsAfterDestroy?: string;
  /** A restore hangs at that point until it is signalled. */
  restoreHangs?: "before-destroy" | "after-destroy";
  /** Milliseconds that a restore takes longer, once it has destroyed what stood there. */
  restoreMs?: number;
  /** A clone of the guest fails after its volumes were made. */
  cloneFails?: string;
  /** Milliseconds a clone takes. */
  cloneMs?: number;
  /** The guest does not react to a shutdown request. */
  ignoreShutdown?: boolean;
  /** Milliseconds an ordered shutdown takes. */
  shutdownMs?: number;
  startFails?: string;
  /** Milliseconds a start takes. */
  startMs?: number;
  /** The guest stops by itself that many milliseconds after its start. */
  diesAfterMs?: number;
  /** Nothing in the guest answers: neither its agent nor a command. */
  silent?: boolean;
}

/** Settings of the whole simulation. */
export interface Knobs {
  /** Factor on every time limit of Proxmox (lockwait, stopwait, 60 s header limit, 5 s grace). */
  timeScale: number;
  /** Order of clusters in VM archives. */
  clusterOrder: "backup" | "interleaved" | "sequential";
  /** Perl's locale warning on stderr of every call. */
  localeWarnings: boolean;
  /** Only uid 0 may use the tools. */
  requireRoot: boolean;
  /** Milliseconds until the HA manager has carried out a request. */
  haDelayMs: number;
  /** Milliseconds between two progress lines of a VM backup. */
  progressMs: number;
  /** Something is mounted on /mnt/vzsnap0. */
  staleSnapshotMount: boolean;
  /** Programs that the simulated node lacks. */
  missingCommands: string[];
  /** The cluster file system is not running. */
  clusterDown: boolean;
  /** Bytes of memory that are free on each node. */
  freeMemory: number;
}

export interface SimState {
  release: string;
  /** Name of the cluster; null for a standalone node. */
  cluster: string | null;
  quorate: boolean;
  nodes: Record<string, NodeState>;
  storages: Record<string, StorageState>;
  pools: Record<string, { comment?: string; storages?: string[] }>;
  guests: Record<string, GuestState>;
  volumes: Record<string, VolumeState>;
  faults: Record<string, Faults>;
  knobs: Knobs;
}

export const DEFAULT_KNOBS: Knobs = {
  timeScale: 1,
  clusterOrder: "backup",
  localeWarnings: false,
  requireRoot: false,
  haDelayMs: 300,
  progressMs: 3000,
  staleSnapshotMount: false,
  missingCommands: [],
  clusterDown: false,
  freeMemory: 28 * 1024 ** 3,
};

/** Runs `use` while holding an exclusive flock on `path`. */
function locked<T>(path: string, use: () => T): T {
  const file = Deno.openSync(path, { create: true, write: true });
  try {
    file.lockSync(true);
    return use();
  } finally {
    file.close();
  }
}

/** The state as it is now, with requests of the HA manager carried out that are due. */
export function readState(dir: string): SimState {
  const state = JSON.parse(Deno.readTextFileSync(`${dir}/state.json`)) as SimState;
  const now = Date.now();
  runManager(state, now);
  endGuests(state, now);
  return state;
}

/** Stops the guests that were told to stop by themselves. */
function endGuests({ guests, faults }: SimState, now: number): void {
  for (const guest of Object.values(guests)) {
    const life = faults[guest.vmid]?.diesAfterMs;
    const isOver = life !== undefined && guest.status !== "stopped" && now >= (guest.startedAt ?? 0) + life;
    if (isOver) guest.status = "stopped";
  }
}

export function writeState(dir: string, state: SimState): void {
  const temporary = `${dir}/state.json.${Deno.pid}`;
  Deno.writeTextFileSync(temporary, JSON.stringify(state));
  Deno.renameSync(temporary, `${dir}/state.json`);
}

/** Reads, changes and writes the state in one locked step. What `change` throws leaves it as it was. */
export function updateState<T>(dir: string, change: (state: SimState) => T): T {
  return locked(`${dir}/state.lock`, () => {
    const state = readState(dir);
    const result = change(state);
    writeState(dir, state);
    return result;
  });
}

/** Appends one line to a record file such as `calls.jsonl`. */
export function appendRecord(dir: string, file: string, record: unknown): void {
  locked(`${dir}/${file}.lock`, () => {
    Deno.writeTextFileSync(`${dir}/${file}`, JSON.stringify(record) + "\n", { append: true });
  });
}

/** Lines of a record file; none when it was never written. */
export function readRecords<T>(dir: string, file: string): T[] {
  try {
    const text = Deno.readTextFileSync(`${dir}/${file}`);
    return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as T);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Compares releases such as `8.4` and `9.0`. */
export function atLeast(release: string, wanted: string): boolean {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** The faults set for a guest; never undefined. */
export function faultsOf(state: SimState, vmid: number): Faults {
  return state.faults[vmid] ?? {};
}
