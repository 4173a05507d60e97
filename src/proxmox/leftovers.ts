import { UserError } from "../core/errors.ts";
import type { ProxmoxNode } from "./cluster.ts";
import type { GuestId } from "./guest_control.ts";
import { LEFTOVERS_PROGRAM } from "./leftovers_program.ts";
import { WORK_DIR_PREFIX } from "./work_dir.ts";

/** Directories looked at in one call: their paths stand on a command line. */
const AT_ONCE = 200;

/** Milliseconds for looking at working directories, or for removing one. */
const LOOK_TIMEOUT = 60_000;
const REMOVE_TIMEOUT = 600_000;

/** A run's id, then the vmid or a number. */
const WORK_DIR_NAME = new RegExp(`^${WORK_DIR_PREFIX}[0-9a-f]{32}(-(\\d+))?$`);

/** Why a directory is in use, by the program's word for it. */
const REASONS: Readonly<Record<string, string>> = {
  owner: "its run is at work",
  busy: "a command of its run is still at work in it",
  open: "a process has a file of it open",
  new: "it was made just now",
  shared: "other machines may use it, and it was changed less than a day ago",
  kept: "it was kept by cleanup=false",
};

/** A working directory of some run, found under a node's dump_dir. */
export interface FoundWorkDir {
  path: string;
  /** `left-over`: its run is dead and nothing uses it any more. `kept`: on purpose, and not ours to remove. */
  state: "left-over" | "in-use" | "kept";
  /** Completes "it is not removed: …"; absent for `left-over`. */
  reason?: string;
  /** Space it takes on the disk. */
  bytes: number;
  /** Since anything in it changed. */
  seconds: number;
  /** The guest that a backup dumped in it; absent for a restore's. */
  dumpOf?: number;
  /** Names in it that no run of ours made: they stay, and so does the directory. */
  foreign: string[];
  /** The guest that its run had stopped for a restore and was to start again. */
  restart?: GuestId;
  /** The guest that its run was restoring where nobody stood before. */
  unfinished?: GuestId;
  /** The guest that its run was restoring in the place of one that stood there. */
  replacing?: GuestId;
}

/**
 * Looks at the working directories under `dumpDir`; none where there is no such directory.
 *
 * @throws {UserError} where the node cannot tell whether they are in use
 */
export async function findWorkDirs(node: ProxmoxNode, dumpDir: string): Promise<FoundWorkDir[]> {
  const { files } = node.runner;
  if ((await files.stat(dumpDir))?.kind !== "dir") return [];
  const names = (await files.list(dumpDir)).filter((name) => WORK_DIR_NAME.test(name)).sort();
  if (names.length === 0) return [];
  if (!await node.runner.hasTool("flock")) {
    throw new UserError(
      "failed",
      `Cannot tell which directories of "${dumpDir}" are in use: "flock" is missing`,
      {
        hint: `install the package "util-linux" on ${node.runner.label}`,
      },
    );
  }
  const found: FoundWorkDir[] = [];
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const paths = names.slice(from, from + AT_ONCE).map((name) => `${dumpDir}/${name}`);
    found.push(...(await ask(node, "look", paths)).map(({ dir }) => dir));
  }
  return found;
}

/** What became of a directory that was to be removed. */
export interface RemovedWorkDir {
  removed: boolean;
  /** Why it is still there. */
  reason?: string;
}

/** Removes what a dead run left in a directory, and the directory; looks once more whether it is in use. */
export async function removeWorkDir(node: ProxmoxNode, path: string): Promise<RemovedWorkDir> {
  const [answer] = await ask(node, "remove", [path]);
  if (!answer) {
    const isGone = await node.runner.files.stat(path) === null;
    return isGone ? { removed: true } : { removed: false, reason: "it cannot be looked at" };
  }
  if (answer.end === "removed") return { removed: true };
  const { dir, end } = answer;
  if (end === "partly") {
    const names = dir.foreign.map((name) => `"${name}"`).join(", ");
    return { removed: false, reason: `it holds ${names || "something"} that no run made` };
  }
  return { removed: false, reason: end ?? dir.reason ?? "it could not be removed" };
}

/** One sentence about what dead runs left under `dumpDir`, or nothing. Never rejects: a run does not depend on it. */
export async function leftoverNote(node: ProxmoxNode, dumpDir: string): Promise<string | undefined> {
  const found = await findWorkDirs(node, dumpDir).catch(() => []);
  const left = found.filter(({ state }) => state === "left-over");
  const [first] = left;
  if (!first) return undefined;
  const what = left.length === 1
    ? `"${first.path}" was left over by a run that was killed`
    : `${left.length} directories under "${dumpDir}" were left over by runs that were killed`;
  return `Node "${node.name}": ${what}; remove with "plakar-proxmox cleanup"`;
}

interface Answer {
  dir: FoundWorkDir;
  /** `removed`, `partly`, or why it failed; absent when nothing was tried. */
  end?: string;
}

async function ask(node: ProxmoxNode, what: "look" | "remove", paths: readonly string[]): Promise<Answer[]> {
  const argv = ["sh", "-c", LEFTOVERS_PROGRAM, "leftovers", what, ...paths] as const;
  const timeout = what === "look" ? LOOK_TIMEOUT : REMOVE_TIMEOUT;
  const { stdout } = await node.runner.run(argv, { timeout });
  const answers: Answer[] = [];
  for (const line of stdout.split("\n")) {
    const [word, ...rest] = line.split("\t");
    const last = answers.at(-1);
    if (word === "dir") answers.push({ dir: readDir(rest) });
    else if (!last) continue;
    else if (word === "foreign") last.dir.foreign.push(rest.join("\t"));
    else if (word === "restart" || word === "unfinished" || word === "replacing") {
      addGuest(last.dir, word, rest);
    } else if (word === "removed" || word === "partly") last.end = word;
    else if (word === "failed") last.end = rest.join(" ") || "it could not be removed";
  }
  return answers;
}

function readDir([state = "", bytes, seconds, mode, ...path]: string[]): FoundWorkDir {
  const whole = path.join("\t");
  const vmid = WORK_DIR_NAME.exec(whole.slice(whole.lastIndexOf("/") + 1))?.[2];
  return {
    path: whole,
    state: state === "free" ? "left-over" : state === "kept" ? "kept" : "in-use",
    ...(state === "free" ? {} : { reason: REASONS[state] ?? "whether it is in use is not known" }),
    bytes: Number(bytes) || 0,
    seconds: Math.max(0, Number(seconds) || 0),
    ...(mode === "711" && vmid !== undefined ? { dumpOf: Number(vmid) } : {}),
    foreign: [],
  };
}

function addGuest(
  dir: FoundWorkDir,
  role: "restart" | "unfinished" | "replacing",
  [tool, vmid = ""]: string[],
): void {
  if ((tool !== "qm" && tool !== "pct") || !/^\d+$/.test(vmid)) return;
  dir[role] = { kind: tool === "qm" ? "qemu" : "lxc", vmid: Number(vmid) };
}
