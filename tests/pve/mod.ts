/**
 * A simulated Proxmox VE node (or cluster) for tests, the demo and benchmarks: a directory with state and
 * one directory of executables per node. See README.md for what it simulates.
 */
import { createHash } from "node:crypto";
import { configEntries, diskLines, withValue } from "./config.ts";
import { CLUSTER, openDisk } from "./disk_data.ts";
import { sleep } from "./context.ts";
import { initialState, makeDirectories, type SimOptions } from "./create.ts";
import { createGuest, type GuestSpec } from "./guests.ts";
import {
  type Faults,
  type GuestState,
  type Knobs,
  readRecords,
  readState,
  type SimState,
  updateState,
  type VolumeState,
  writeState,
} from "./state.ts";
import { freeVolume } from "./storage.ts";
import { treeDigest } from "./tree_digest.ts";

export type { SimOptions, StorageSpec } from "./create.ts";
export type { DiskSpec, GuestSpec } from "./guests.ts";
export type { Faults, GuestState, Knobs, SimState } from "./state.ts";

/** One call of a simulated tool. `exit` is null while it runs or when it was killed. */
export interface Call {
  tool: string;
  node: string;
  argv: string[];
  pid: number;
  started: number;
  ended: number | null;
  exit: number | null;
}

/** A worker process that is still alive. */
export interface SimProcess {
  pid: number;
  tool: string;
  node: string;
  vmid: number | null;
  task: string;
}

/** A guest as a test looks at it. */
export interface GuestView extends GuestState {
  /** Keys and values of the current section. */
  entries: Record<string, string>;
  lock?: string;
}

/** Whether somebody holds a flock on the file. Only looks: trying the lock would get in a worker's way. */
function isFlocked(path: string): boolean {
  let inode: number | null;
  try {
    inode = Deno.statSync(path).ino;
  } catch {
    return false;
  }
  const held = new RegExp(`^\\d+: FLOCK .* [0-9a-f]+:[0-9a-f]+:${inode} `, "m");
  return held.test(Deno.readTextFileSync("/proc/locks"));
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // Ended meanwhile.
  }
}

/** One node of the simulated cluster. State is shared by all nodes of a cluster. */
export class SimNode implements AsyncDisposable {
  private constructor(
    /** State directory of the whole cluster. */
    readonly dir: string,
    readonly name: string,
    readonly owned: boolean,
  ) {}

  /** A cluster's first node, with everything that `options` lists. */
  static async create(options: SimOptions = {}): Promise<SimNode> {
    const dir = options.dir ?? await Deno.makeTempDir({ prefix: "pve-sim-" });
    // Mapped users of unprivileged containers must be able to reach dump directories below.
    await Deno.mkdir(dir, { recursive: true });
    await Deno.chmod(dir, 0o755);
    const state = initialState(dir, options);
    makeDirectories(dir, state);
    const name = options.name ?? "pve1";
    for (const guest of options.guests ?? []) createGuest(state, dir, guest, name);
    writeState(dir, state);
    return new SimNode(dir, name, options.dir === undefined);
  }

  /** Another node of the same cluster; it owns nothing. */
  node(name: string): SimNode {
    if (this.state().nodes[name] === undefined) throw new Error(`no node "${name}" in the simulated cluster`);
    return new SimNode(this.dir, name, false);
  }

  /** Directory with the executables of this node, to be put first on PATH. */
  get bin(): string {
    return `${this.dir}/bin/${this.name}`;
  }

  /** PATH with this node's tools first. */
  get path(): string {
    return `${this.bin}:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}`;
  }

  /** An empty directory for dumps that every mapped user can reach. */
  get dumpDir(): string {
    return `${this.dir}/dump`;
  }

  state(): SimState {
    return readState(this.dir);
  }

  /** Changes anything in the state, in one locked step. */
  change<T>(change: (state: SimState) => T): T {
    return updateState(this.dir, change);
  }

  guest(vmid: number): GuestView | undefined {
    const guest = this.state().guests[vmid];
    if (guest === undefined) return undefined;
    const entries = Object.fromEntries(configEntries(guest.config));
    return { ...guest, entries, ...(entries.lock === undefined ? {} : { lock: entries.lock }) };
  }

  /** Guests with a lock in their configuration, and whether this node's vzdump lock is held. */
  locks(): { guests: Record<number, string>; vzdump: boolean } {
    const guests: Record<number, string> = {};
    for (const guest of Object.values(this.state().guests)) {
      const lock = configEntries(guest.config).get("lock");
      if (lock !== undefined) guests[guest.vmid] = lock;
    }
    return { guests, vzdump: isFlocked(`${this.dir}/nodes/${this.name}/vzdump.lock`) };
  }

  /** Worker processes that are alive. */
  processes(): SimProcess[] {
    const found: SimProcess[] = [];
    for (const entry of Deno.readDirSync(`${this.dir}/run`)) {
      if (!entry.name.endsWith(".process")) continue;
      try {
        const process = JSON.parse(Deno.readTextFileSync(`${this.dir}/run/${entry.name}`)) as SimProcess;
        if (this.#runs(process.pid)) found.push(process);
      } catch {
        // Ended between two looks.
      }
    }
    return found;
  }

  /** Every call so far, in order of their start. */
  calls(): Call[] {
    const calls = new Map<string, Call>();
    for (const record of readRecords<Partial<Call> & { id: string }>(this.dir, "calls.jsonl")) {
      const known = calls.get(record.id);
      if (known) Object.assign(known, { ended: record.ended, exit: record.exit });
      else calls.set(record.id, { ...record, ended: null, exit: null } as unknown as Call);
    }
    return [...calls.values()];
  }

  /** Mails and notifications that would have been sent. */
  notifications(): { node: string; transport: string; to: string; success: boolean }[] {
    return readRecords(this.dir, "notifications.jsonl");
  }

  /** Phases for which a hook script was run. */
  hookCalls(): { phase: string; mode?: string; vmid?: number; target?: string; status: number }[] {
    return readRecords(this.dir, "hooks.jsonl");
  }

  /** The volume behind a key such as `scsi0` or `rootfs`. */
  volume(vmid: number, key: string): VolumeState & { id: string } {
    const state = this.state();
    const guest = state.guests[vmid];
    const line = guest && diskLines(guest.kind, guest.config, true).find((disk) => disk.key === key);
    const volume = line && state.volumes[line.volume];
    if (!volume) throw new Error(`guest ${vmid} has no volume at "${key}"`);
    return { ...volume, id: line.volume };
  }

  /** Whole content of a small VM disk. */
  diskBytes(vmid: number, key: string): Uint8Array {
    const volume = this.volume(vmid, key);
    const bytes = new Uint8Array(volume.size);
    const reader = openDisk(volume);
    for (let at = 0; at < volume.size; at += CLUSTER) {
      bytes.set(reader.bytes(at / CLUSTER).subarray(0, Math.min(CLUSTER, volume.size - at)), at);
    }
    reader.close();
    return bytes;
  }

  /** sha256 of a VM disk's bytes, or of a container volume's tree (names, modes, owners, contents). */
  sha256(vmid: number, key: string): string {
    const volume = this.volume(vmid, key);
    if (!volume.synthetic && volume.path && Deno.statSync(volume.path).isDirectory) {
      return treeDigest(volume.path);
    }
    const hash = createHash("sha256");
    const reader = openDisk(volume);
    for (let at = 0; at < volume.size; at += CLUSTER) {
      hash.update(reader.bytes(at / CLUSTER).subarray(0, Math.min(CLUSTER, volume.size - at)));
    }
    reader.close();
    return hash.digest("hex");
  }

  /** This node's /etc/vzdump.conf. */
  setVzdumpConf(text: string): void {
    Deno.writeTextFileSync(`${this.dir}/nodes/${this.name}/vzdump.conf`, text);
  }

  addGuest(spec: GuestSpec): void {
    this.change((state) => createGuest(state, this.dir, spec, this.name));
  }

  /** Removes a guest and its volumes, whatever state it is in. */
  destroyGuest(vmid: number): void {
    this.change((state) => {
      for (const [id, volume] of Object.entries(state.volumes)) {
        if (volume.vmid === vmid) freeVolume(state, id);
      }
      delete state.guests[vmid];
    });
  }

  /** Sets the run state. */
  setStatus(vmid: number, status: string): void {
    this.change((state) => {
      state.guests[vmid]!.status = status;
    });
  }

  startGuest(vmid: number): void {
    this.setStatus(vmid, "running");
  }

  stopGuest(vmid: number): void {
    this.setStatus(vmid, "stopped");
  }

  /** Sets configuration lines; `null` removes one. */
  setConfig(vmid: number, lines: Record<string, string | null>): void {
    this.change((state) => {
      const guest = state.guests[vmid]!;
      for (const [key, value] of Object.entries(lines)) {
        guest.config = withValue(guest.config, key, value ?? undefined);
      }
    });
  }

  /** Sets the lock line; `null` removes it. */
  setLock(vmid: number, lock: string | null): void {
    this.setConfig(vmid, { lock });
  }

  /** Replaces what the tools do wrong for a guest; `{}` heals it. */
  fault(vmid: number, faults: Faults): void {
    this.change((state) => {
      state.faults[vmid] = faults;
    });
  }

  setKnobs(knobs: Partial<Knobs>): void {
    this.change((state) => Object.assign(state.knobs, knobs));
  }

  /** Ends what still runs and removes the directory, if it was made by `create`. */
  async dispose(): Promise<void> {
    for (const { pid } of this.processes()) kill(-pid);
    // Their callers would still write to the directory that is about to go.
    for (const { pid, exit } of this.calls()) if (exit === null && this.#runs(pid)) kill(pid);
    if (!this.owned) return;
    for (let attempt = 0; attempt < 20 && this.#runsAnything(); attempt++) await sleep(50);
    await Deno.remove(this.dir, { recursive: true });
  }

  /** Whether a process belongs to this simulation. */
  #runs(pid: number): boolean {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes(`\0${this.dir}\0`);
    } catch {
      return false;
    }
  }

  #runsAnything(): boolean {
    return this.processes().length > 0 ||
      this.calls().some(({ pid, exit }) => exit === null && this.#runs(pid));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
