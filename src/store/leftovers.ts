import { statfs } from "node:fs/promises";
import { parseArchiveName } from "../archive/names.ts";
import { messageOf, UserError } from "../core/errors.ts";
import { MANIFEST, parseSnapshotName, PART, RECORD, REPORT, RUN_LOCK } from "./layout.ts";
import type { ListedSnapshot } from "./snapshot_reader.ts";

/** What a dead run left in a store: a file that is not whole. */
export interface PartFile {
  path: string;
  bytes: number;
}

/** A snapshot with part files that stay, and why. */
export interface BusySnapshot {
  path: string;
  /** Completes "its part files stay: …". */
  reason: string;
}

/** Part files of dead runs, and the snapshots whose run may still write. */
export interface StoreLeftovers {
  parts: PartFile[];
  busy: BusySnapshot[];
}

/** Milliseconds within which a run takes its snapshot's lock. */
const BEGINNING = 60_000;
/** Milliseconds that a part file of a run alive may stay unchanged: the longest stall_timeout. */
const LONGEST_STALL = 24 * 60 * 60 * 1000;

/** Filesystems of this machine alone (linux/magic.h): on others a lock of another machine may be out of sight. */
const OWN_FILESYSTEMS = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x2fc12fc1, // zfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0xf2f52010, // f2fs
]);

/**
 * Finds the part files in a store that no run writes any more: the snapshot's lock is free, and on a filesystem
 * that other machines may share nothing in the snapshot has changed for a day.
 *
 * @throws {UserError} of kind `usage` when the store cannot be read
 */
export async function findPartFiles(store: string, now: Date): Promise<StoreLeftovers> {
  const found: StoreLeftovers = { parts: [], busy: [] };
  const root = store.replace(/(?<=.)\/+$/, "");
  for (const name of (await namesIn(root)).filter(parseSnapshotName).sort()) {
    const path = `${root}/${name}`;
    if (!(await Deno.lstat(path)).isDirectory) continue;
    const names = await namesIn(path);
    const parts = names.filter(isPart).sort();
    if (parts.length === 0) continue;
    const reason = await whyBusy(path, now);
    if (reason !== undefined) {
      found.busy.push({ path, reason });
      continue;
    }
    // A record is written before its archive gets its name.
    const records = parts.map((part) => part.slice(0, -PART.length) + RECORD)
      .filter((record) => names.includes(record) && isRecordOfNothing(record, names));
    for (const left of [...parts, ...records]) {
      const { isFile, size } = await Deno.lstat(`${path}/${left}`);
      if (isFile) found.parts.push({ path: `${path}/${left}`, bytes: size });
    }
  }
  return found;
}

/**
 * Removes a part file under its snapshot's lock.
 *
 * @throws {UserError} when a run writes the snapshot after all, or the file cannot be removed
 */
export async function removePart({ path }: PartFile): Promise<void> {
  const lock = await openLock(path.slice(0, path.lastIndexOf("/")));
  try {
    if (lock && !await lock.tryLock(true)) throw new Error("its run is at work");
    await Deno.remove(path);
  } catch (cause) {
    throw new UserError("failed", `Cannot remove "${path}": ${messageOf(cause)}`, { cause });
  } finally {
    lock?.close();
  }
}

/** A guest whose dump a run of ours began and did not end well. */
export interface UnfinishedDump {
  vmid: number;
  node: string;
  /** Absent for a node that is in no cluster. */
  cluster?: string;
}

/**
 * The guests that dead runs were dumping, or may have been: all those of a run that has left no report and no
 * archive of them, and those whose dump failed after its first byte. vzdump may have left its lock on them.
 */
export function unfinishedDumps(snapshots: readonly ListedSnapshot[]): UnfinishedDump[] {
  return snapshots.flatMap((snapshot) => {
    const { manifest, report, state, archives } = snapshot;
    if (!manifest || state === "running") return [];
    const isUnfinished = (vmid: number): boolean => {
      if (!report) return !archives.some((archive) => archive.vmid === vmid);
      return report.guests.some((guest) =>
        guest.vmid === vmid && guest.outcome === "failed" && guest.bytes > 0
      );
    };
    return manifest.guests.filter(({ vmid }) => isUnfinished(vmid)).map(({ vmid, node }) => ({
      vmid,
      node,
      ...(manifest.cluster !== undefined ? { cluster: manifest.cluster } : {}),
    }));
  });
}

function isPart(name: string): boolean {
  if (!name.endsWith(PART)) return false;
  const whole = name.slice(0, -PART.length);
  const archive = whole.endsWith(RECORD) ? whole.slice(0, -RECORD.length) : whole;
  return whole === MANIFEST || whole === REPORT || parseArchiveName(archive) !== null;
}

function isRecordOfNothing(record: string, names: readonly string[]): boolean {
  const archive = record.slice(0, -RECORD.length);
  return parseArchiveName(archive) !== null && !names.includes(archive);
}

async function whyBusy(path: string, now: Date): Promise<string | undefined> {
  const lock = await openLock(path);
  try {
    if (lock && !await lock.tryLock(false)) return "its run is at work";
  } finally {
    lock?.close();
  }
  const changed = await newestChange(path);
  const begins = await Deno.lstat(`${path}/${MANIFEST}`).then(() => false, () => true);
  if (begins && now.getTime() - changed < BEGINNING) return "it was made just now";
  const isShared = !OWN_FILESYSTEMS.has(Number((await statfs(path)).type) >>> 0);
  if (isShared && now.getTime() - changed < LONGEST_STALL) {
    return "another machine may be writing it, and it was changed less than a day ago";
  }
  return undefined;
}

async function openLock(path: string): Promise<Deno.FsFile | undefined> {
  return await Deno.open(`${path}/${RUN_LOCK}`, { read: true, write: true }).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
}

async function newestChange(path: string): Promise<number> {
  const times = [(await Deno.lstat(path)).mtime];
  for (const name of await namesIn(path)) {
    times.push(await Deno.lstat(`${path}/${name}`).then(({ mtime }) => mtime, () => null));
  }
  return Math.max(...times.map((time) => time?.getTime() ?? 0));
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map((entry) => entry.name);
  } catch (cause) {
    throw new UserError("usage", `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  }
}
