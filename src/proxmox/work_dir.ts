import { messageOf, UserError } from "../core/errors.ts";
import type { NodeFiles } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { listStorages } from "./cluster.ts";
import { type GuestId, tool } from "./guest_control.ts";
import { pveshGet } from "./pvesh.ts";
import { z } from "zod";

/** Start of the name of every directory of ours under a dump_dir; the run's id follows. */
export const WORK_DIR_PREFIX = "plakar-proxmox-";

/**
 * A directory of ours under dump_dir. Its `owner.lock` is held while the run lives; when the run is killed, the
 * directory goes by itself, as soon as the jobs that hold `busy` are over.
 */
export interface WorkDir {
  path: string;
  /** For the `hold` of every job that works in the directory. */
  busy: string;
  /** Makes a directory in it with the same mode. */
  makeDir(name: string): Promise<string>;
  /** Has the guest started when we die before `forgetRestart`, as soon as no job works in the directory. */
  noteRestart(guest: GuestId): Promise<void>;
  forgetRestart(): Promise<void>;
  /**
   * Notes the guest that a restore tool is about to work on. When we die before `forgetTarget`, as soon as no job
   * works in the directory: what is left of one that is being made and lists no disk is removed; the note stays where
   * that fails, where nothing is left of one that was being replaced, and where one was made of a stream.
   */
  noteTarget(guest: GuestId, how: { action: "create" | "replace"; streams: boolean }): Promise<void>;
  /** Notes that what was streamed into the guest has proved whole. */
  noteWhole(): Promise<void>;
  forgetTarget(): Promise<void>;
  /** Removes one directory made by `makeDir`. */
  removeDir(name: string): Promise<void>;
  /** Leaves all to what guards the directory: `close` touches nothing, since a job out of sight may work in there. */
  leave(): void;
  /** Gives the lock back and, unless `keep`, removes everything; what is kept is marked by a file `kept`. */
  close(keep?: boolean): Promise<void>;
}

/** Files that name the guest which a restore tool works on, by what it does with it. */
const TARGET_NOTES = { create: "unfinished", replace: "replacing" } as const;

/** The path of a working directory: `id` starts with the run's own and is unique in the cluster. */
export function workDirPath(dumpDir: string, id: string): string {
  return `${dumpDir}/${WORK_DIR_PREFIX}${id}`;
}

/** Makes a working directory, see `makeWorkDir`, after a look at `dumpDir`, see `requireUsable`. */
export async function openWorkDir(
  node: ProxmoxNode,
  dumpDir: string,
  id: string,
  mode: 0o711 | 0o700,
): Promise<WorkDir> {
  await requireUsable(node, dumpDir);
  return await makeWorkDir(node, dumpDir, id, mode);
}

/**
 * Makes a directory of our own under `dumpDir`: nothing of the user's can be in it.
 *
 * `id` must be unique in the cluster, since `dumpDir` may lie on a storage that several nodes share.
 * `mode` 0o711 for dumps: for unprivileged containers tar runs under mapped uids with its directory below,
 * so others must be able to pass through. 0o700 for staged archives: they hold /etc/shadow.
 */
export async function makeWorkDir(
  node: ProxmoxNode,
  dumpDir: string,
  id: string,
  mode: 0o711 | 0o700,
): Promise<WorkDir> {
  const { files } = node.runner;
  const path = workDirPath(dumpDir, id);
  const busy = `${path}/busy`;
  const { lock, guard } = await makeGuarded(node, path, mode).catch((cause) => {
    throw new UserError("usage", `Cannot use "${dumpDir}" for working files: ${messageOf(cause)}`, {
      hint: "give another directory with --dump-dir",
      cause,
    });
  });
  let isLeft = false;
  const note = async (name: string, guest: GuestId) => {
    const file = await files.create(`${path}/${name}`);
    await file.write(new TextEncoder().encode(`${tool(guest)}\n${guest.vmid}\n`));
    await file.close();
  };
  return {
    path,
    busy,
    async makeDir(name) {
      await files.makeDir(`${path}/${name}`, mode);
      return `${path}/${name}`;
    },
    noteRestart: (guest) => note("restart", guest),
    forgetRestart: () => files.removeFile(`${path}/restart`),
    async noteTarget(guest, { action, streams }) {
      if (streams) await note("streamed", guest);
      await note(TARGET_NOTES[action], guest);
    },
    noteWhole: () => files.removeFile(`${path}/streamed`),
    async forgetTarget() {
      for (const name of [...Object.values(TARGET_NOTES), "streamed"]) {
        await files.removeFile(`${path}/${name}`);
      }
    },
    removeDir: (name) => files.removeTree(`${path}/${name}`),
    leave: () => {
      isLeft = true;
    },
    async close(keep = false) {
      if (isLeft) return;
      try {
        if (keep) await markKept(files, path);
        else await files.removeTree(path);
        await guard.release(); // only now: what could not be removed goes when the guard takes us for dead
      } finally {
        await lock.release();
      }
    },
  };
}

/** Makes the directory with its locks, and what guards it; nothing of it is left when that fails. */
async function makeGuarded({ runner }: ProxmoxNode, path: string, mode: number) {
  const { files } = runner;
  await files.makeDir(path, mode);
  let lock: { release(): Promise<void> } | undefined;
  try {
    lock = await files.lock(`${path}/owner.lock`);
    await (await files.create(`${path}/busy`)).close();
    return { lock, guard: await runner.guardDir(path) };
  } catch (error) {
    await files.removeTree(path).catch(() => {});
    await lock?.release().catch(() => {});
    throw error;
  }
}

/** A directory without the mark passes for one of a dead run later; that is no reason to lose what is kept now. */
async function markKept(files: NodeFiles, path: string): Promise<void> {
  await files.create(`${path}/kept`).then((mark) => mark.close()).catch(() => {});
}

const storageConfigAnswer = z.array(z.looseObject({
  storage: z.string(),
  path: z.string().optional(),
  "prune-backups": z.unknown().optional(),
  maxfiles: z.unknown().optional(),
}));

/** Refuses a path under a storage of the node that is not active: what is written there would fill the root disk. */
export async function requireActiveStorage(node: ProxmoxNode, path: string): Promise<void> {
  const id = await storageOf(node, path);
  if (id === undefined) return;
  const storage = (await listStorages(node)).find((entry) => entry.id === id);
  if (!storage || storage.active) return;
  throw new UserError("usage", `Cannot use "${path}": its storage "${id}" is not active`, {
    hint: "mount or enable the storage, or give another directory",
  });
}

/**
 * Refuses a place for working directories that is not there, or under a storage that is not active.
 *
 * @throws {UserError} of kind `usage`
 */
export async function requireUsable(node: ProxmoxNode, dumpDir: string): Promise<void> {
  await requireActiveStorage(node, dumpDir);
  const there = await node.runner.files.stat(dumpDir);
  if (there?.kind !== "dir") {
    throw new UserError(
      "usage",
      `Cannot use "${dumpDir}": ${there ? "it is no directory" : "it does not exist"}`,
      {
        hint: "give a directory of the node with --dump-dir",
      },
    );
  }
}

/**
 * The storage whose retention would remove archives from `dir`, a directory where it keeps backups; `undefined`
 * where none does.
 */
export async function pruningStorage(node: ProxmoxNode, dir: string): Promise<string | undefined> {
  const configured = await pveshGet(node.runner, "/storage", storageConfigAnswer);
  const owner = configured.find((entry) => dir === `${entry.path ?? `/mnt/pve/${entry.storage}`}/dump`);
  const rule = owner?.["prune-backups"] ?? owner?.maxfiles;
  const keepsAll = rule === undefined || /keep-all["':= ]+1/.test(JSON.stringify(rule)) || Number(rule) === 0;
  return keepsAll ? undefined : owner?.storage;
}

/** The storage that `path` lies under. Mounted storages live in /mnt/pve/ID; others tell their path. */
async function storageOf(node: ProxmoxNode, path: string): Promise<string | undefined> {
  const mounted = /^\/mnt\/pve\/([^/]+)/.exec(path);
  if (mounted) return mounted[1];
  const configured = await pveshGet(node.runner, "/storage", storageConfigAnswer).catch(() => []);
  return configured.find((entry) => entry.path && (path === entry.path || path.startsWith(`${entry.path}/`)))
    ?.storage;
}
