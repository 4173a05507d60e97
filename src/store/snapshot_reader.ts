import type { z } from "zod";
import { parseArchiveName } from "../archive/names.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import {
  type ArchiveRecord,
  archiveRecordSchema,
  homeOf,
  type Manifest,
  manifestSchema,
  type Report,
  reportSchema,
} from "../core/snapshot.ts";
import { MANIFEST, parseSnapshotName, RECORD, REPORT, RUN_LOCK } from "./layout.ts";

/** Largest JSON document of a store that is read, bytes: a manifest of some thousand guests stays far below. */
const DOCUMENT_LIMIT = 64 * 1024 * 1024;

/** An archive in a directory, with its record if it has one. */
export interface ListedArchive extends StoredArchive {
  /** Path of the file. */
  path: string;
  record?: ArchiveRecord;
}

/** One snapshot of a store. */
export interface ListedSnapshot {
  id: string;
  path: string;
  started: Date;
  /** `running`: its run lives; `incomplete`: the run died; `damaged`: manifest, report or a record is not readable. */
  state: "complete" | "running" | "incomplete" | "damaged";
  /** What is wrong, for `damaged`. */
  damage: string[];
  manifest?: Manifest;
  report?: Report;
  archives: ListedArchive[];
}

/** What `--from DIR` holds: snapshots, newest first, and plain vzdump files. */
export interface StoreListing {
  path: string;
  snapshots: ListedSnapshot[];
  plain: ListedArchive[];
}

/**
 * Reads a store, a single snapshot of one, a directory of plain vzdump files, or one archive file.
 *
 * @throws {UserError} of kind `usage` when `path` is nothing of that
 */
export async function readStore(path: string): Promise<StoreListing> {
  const there = await Deno.stat(path).catch((cause) => {
    throw new UserError("usage", `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  });
  if (there.isFile) return { path, snapshots: [], plain: [await plainArchive(path)] };

  const names = await namesIn(path);
  const cleaned = path.replace(/\/+$/, "");
  if (names.includes(MANIFEST)) {
    // Of "." or a link only the real path tells the name.
    const real = await Deno.realPath(path);
    if (parseSnapshotName(real.slice(real.lastIndexOf("/") + 1))) {
      return { path, snapshots: [await readSnapshot(real)], plain: [] };
    }
  }
  const snapshots: ListedSnapshot[] = [];
  for (const name of names.filter(parseSnapshotName).sort().reverse()) {
    const entry = await Deno.stat(`${cleaned}/${name}`).catch(() => undefined);
    if (entry?.isDirectory) snapshots.push(await readSnapshot(`${cleaned}/${name}`));
  }
  const plain = await Promise.all((await archivesIn(cleaned, names)).map(withRecordBeside));
  if (snapshots.length + plain.length === 0) {
    throw new UserError("usage", `Cannot use "${path}": it holds neither snapshots nor vzdump archives`, {
      hint: "give the directory that a backup was written to",
    });
  }
  return { path, snapshots, plain };
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map((entry) => entry.name);
  } catch (cause) {
    throw new UserError("usage", `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  }
}

async function plainArchive(path: string): Promise<ListedArchive> {
  const name = path.split("/").at(-1) ?? "";
  const [archive] = await archivesIn(path.slice(0, -name.length) || "./", [name]);
  if (archive) return await withRecordBeside(archive);
  throw new UserError("usage", `Cannot use "${path}": its name is none of a vzdump archive`, {
    hint: 'Proxmox tells archives by names such as "vzdump-qemu-101-2026_01_31-12_00_00.vma.zst"',
  });
}

/**
 * Takes up the record beside an archive outside of a snapshot, such as a copy, or one that was named alone: nothing
 * else would notice a flipped bit in a VMA's data. What is no record of this very archive is passed over: naming the
 * archive alone is the way around documents that are damaged.
 */
async function withRecordBeside(archive: ListedArchive): Promise<ListedArchive> {
  const record = await readDocument(archive.path + RECORD, archiveRecordSchema).catch(() => undefined);
  if (record?.name !== archive.name) return archive;
  return { ...archive, record, ...(record.sha256 !== undefined ? { sha256: record.sha256 } : {}) };
}

/** The archives among `names`; what has no archive's name (parts, records, anything else) is passed over. */
async function archivesIn(dir: string, names: readonly string[]): Promise<ListedArchive[]> {
  const archives: ListedArchive[] = [];
  for (const name of names) {
    const parsed = parseArchiveName(name);
    const path = `${dir.replace(/\/+$/, "")}/${name}`;
    const file = parsed && await Deno.stat(path).catch(() => undefined);
    if (!parsed || !file?.isFile) continue;
    const taken = parsed.time ?? file.mtime ?? undefined;
    archives.push({
      path,
      name,
      kind: parsed.kind,
      bytes: file.size,
      ...(parsed.vmid !== undefined ? { vmid: parsed.vmid } : {}),
      ...(taken ? { taken } : {}),
    });
  }
  return archives.sort((a, b) => (a.vmid ?? 0) - (b.vmid ?? 0) || (a.name < b.name ? 1 : -1));
}

/** Reads a snapshot as far as it can be read; archives count even where manifest or report do not. */
export async function readSnapshot(path: string): Promise<ListedSnapshot> {
  const id = path.split("/").at(-1) as string;
  const damage: string[] = [];
  const read = async <T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    try {
      return await readDocument(`${path}/${name}`, schema);
    } catch (error) {
      damage.push(`${name}: ${messageOf(error)}`);
      return undefined;
    }
  };
  const names = await namesIn(path);
  const archives = await archivesIn(path, names);
  // A run writes its manifest before anything else: without one, either nothing was done yet or it got lost.
  const isBegun = names.includes(MANIFEST) || names.includes(REPORT) || archives.length > 0;
  const manifest = isBegun ? await read(MANIFEST, manifestSchema) : undefined;
  const report = names.includes(REPORT) ? await read(REPORT, reportSchema) : undefined;
  for (const archive of archives) {
    archive.snapshot = id;
    if (manifest && archive.vmid !== undefined) Object.assign(archive, homeOf(manifest, archive.vmid));
    const record = names.includes(archive.name + RECORD)
      ? await read(archive.name + RECORD, archiveRecordSchema)
      : undefined;
    if (!record) continue;
    archive.record = record;
    if (record.sha256 !== undefined) archive.sha256 = record.sha256;
  }
  const state = damage.length > 0
    ? "damaged"
    : report
    ? "complete"
    : await isLocked(path)
    ? "running"
    : "incomplete";
  return {
    id,
    path,
    started: parseSnapshotName(id) ?? new Date(0),
    state,
    damage,
    ...(manifest ? { manifest } : {}),
    ...(report ? { report } : {}),
    archives,
  };
}

async function readDocument<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const { size } = await Deno.stat(path);
  if (size > DOCUMENT_LIMIT) throw new Error(`is ${size} bytes long, which no document of a store is`);
  const text = await Deno.readTextFile(path);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error("is no JSON");
  }
  const read = schema.safeParse(document);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  throw new Error(`has an unexpected form at "${issue?.path.join(".") ?? ""}": ${issue?.message ?? ""}`);
}

async function isLocked(path: string): Promise<boolean> {
  const lock = await Deno.open(`${path}/${RUN_LOCK}`, { read: true }).catch(() => undefined);
  if (!lock) return false;
  try {
    return !await lock.tryLock(false);
  } finally {
    lock.close();
  }
}
