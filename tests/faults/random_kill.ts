/** Ends a backup or a restore at a random moment, cleans up, and looks at what is left. */
import { dirname } from "node:path";
import { type Bed, makeBed } from "../cli/harness.ts";
import { killTree } from "../cli/kill_tree.ts";
import type { GuestSpec } from "../pve/mod.ts";
import { Random } from "./random.ts";
import { contentsOf, disksOf, type GuestsBefore, guestsOf, plantDecoys, requireSilence } from "./traces.ts";

const GUESTS: GuestSpec[] = [
  { vmid: 101, name: "web" },
  { vmid: 102, disks: [{ key: "scsi0", size: "8M" }] },
  { vmid: 105, kind: "lxc" },
];
const ENDS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGKILL of everything"] as const;

/** What became of a run; nothing in `problems` is what it must be. */
export interface KilledRun {
  seed: number;
  command: "backup" | "restore";
  end: typeof ENDS[number];
  /** Milliseconds from the start to the signal. */
  after: number;
  /** Exit status of the program. */
  status: number;
  /** Archives that are listed afterwards, and guests that were lost or stopped and told of. */
  listed: number;
  told: string[];
  problems: string[];
}

/** One run with all that its seed decides. */
export async function randomKill(seed: number): Promise<KilledRun> {
  const random = new Random(seed);
  const command = random.pick(["backup", "restore"] as const);
  const end = random.pick(ENDS);
  await using bed = await makeBed({ guests: GUESTS });
  const before = guestsOf(bed.node);
  if (command === "restore") await requireBackup(bed);
  for (const { vmid } of GUESTS) {
    bed.node.fault(vmid, { shutdownMs: 200, bytesPerSecond: 4_000_000, cleanupSeconds: 0.4 });
  }
  for (const dir of [bed.store, bed.node.dumpDir]) plantDecoys(dir);
  const decoys = [bed.store, bed.node.dumpDir].map(contentsOf);

  const args = command === "backup"
    ? ["backup", "--all", "--to", bed.store, "--backup-compression", random.pick(["0", "zstd"])]
    : ["restore", "--from", bed.store, "--vmid", "101,102,105", "--force"];
  const { child, finished } = await bed.start(args);
  const after = random.below(command === "backup" ? 4500 : 6000);
  await new Promise((resolve) => setTimeout(resolve, after));
  if (end === "SIGKILL of everything") await killTree(child.pid);
  else send(child, end);
  const ended = await finished;
  const run: KilledRun = {
    seed,
    command,
    end,
    after,
    status: ended.status,
    listed: 0,
    told: [],
    problems: [],
  };
  await look(bed, run, before, decoys, ended.stdout + ended.stderr).catch((error) => {
    run.problems.push(error instanceof Error ? error.message : String(error));
  });
  return run;
}

function send(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It was done before.
  }
}

async function requireBackup(bed: Bed): Promise<void> {
  const { status, stderr } = await bed.run([
    "backup",
    "--all",
    "--to",
    bed.store,
    "--backup-compression",
    "0",
  ]);
  if (status !== 0) throw new Error(stderr);
}

async function look(
  bed: Bed,
  run: KilledRun,
  before: GuestsBefore,
  decoys: Map<string, string>[],
  said: string,
): Promise<void> {
  await requireSilence(bed);
  const cleanup = await bed.run([
    ...["cleanup", "--yes", "--unlock", "--store", bed.store, "--dump-dir", bed.node.dumpDir],
  ]);
  if (cleanup.status !== 0) run.problems.push(`cleanup ended with ${cleanup.status}: ${cleanup.stderr}`);
  lookAtFiles(bed, run, decoys);
  await lookAtArchives(bed, run);
  lookAtGuests(bed, run, before, said + cleanup.stdout + cleanup.stderr);
  if (run.status === 0 && run.told.length > 0) run.problems.push("status 0, but not all is well");
}

/** Nobody else's file was touched, nothing of ours is left. */
function lookAtFiles(bed: Bed, run: KilledRun, decoys: Map<string, string>[]): void {
  for (const [index, dir] of [bed.store, bed.node.dumpDir].entries()) {
    const now = contentsOf(dir);
    for (const [path, digest] of decoys[index] ?? []) {
      if (now.get(path) !== digest) run.problems.push(`"${path}" was touched`);
      now.delete(path);
    }
    for (const path of now.keys()) {
      if (dir === bed.node.dumpDir || path.endsWith(".part")) run.problems.push(`"${path}" is left`);
    }
  }
}

/** What is listed as good must be good. */
async function lookAtArchives(bed: Bed, run: KilledRun): Promise<void> {
  const only = ["--vmid", "101,102,105"];
  const list = await bed.run(["list", "--from", bed.store, ...only, "--json"]);
  if (list.status !== 0) return void run.problems.push(`list ended with ${list.status}: ${list.stderr}`);
  run.listed = list.json.filter(({ vmid }) => vmid !== undefined).length;
  if (run.listed === 0) return;
  const verify = await bed.run(["verify", "--from", bed.store, ...only]);
  if (verify.status !== 0) run.problems.push(`listed, but damaged: ${verify.stdout}${verify.stderr}`);
}

/** Each guest is as before, or it was said which is not. */
function lookAtGuests(bed: Bed, run: KilledRun, before: GuestsBefore, said: string): void {
  const { node } = bed;
  for (const [vmid, { status, disks }] of before) {
    const now = node.guest(vmid);
    const isWhole = now !== undefined && JSON.stringify(disksOf(node, vmid)) === JSON.stringify(disks);
    const odds = [
      ...(isWhole ? [] : ["its disks are not those of before"]),
      ...(now?.lock ? [`it is locked (${now.lock})`] : []),
      ...(now?.status === status ? [] : [`it is ${now?.status ?? "gone"}`]),
    ];
    if (odds.length === 0) continue;
    const text = `guest ${vmid}: ${odds.join(", ")}`;
    if (!isWhole && run.command === "backup") run.problems.push(text);
    else if (new RegExp(`(VM|CT|Guest|guest) ${vmid}\\b`).test(said)) run.told.push(text);
    else if (reportsOf(bed).includes(`"target":${vmid},`)) run.told.push(`${text} (only the report tells)`);
    else run.problems.push(`${text}, and nothing tells of it`);
  }
}

/** All reports of restores that were kept. */
function reportsOf(bed: Bed): string {
  const dir = `${dirname(bed.node.dir)}/state`;
  try {
    return [...contentsOf(dir)].filter(([, digest]) => digest !== "directory")
      .map(([path]) => JSON.stringify(JSON.parse(Deno.readTextFileSync(`${dir}/${path}`)))).join();
  } catch {
    return "";
  }
}
