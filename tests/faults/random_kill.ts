/** Ends a backup, a restore or a restore test at a random moment, cleans up, and looks at what is left. */
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
const VMIDS = GUESTS.map(({ vmid }) => vmid).join();
/** By this much the vmids of streamed guests are higher. */
const OFFSET = 800;
const COMMANDS = ["backup", "restore", "stream", "restore-test"] as const;
const ENDS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGKILL of everything"] as const;

/** What became of a run; nothing in `problems` is what it must be. */
export interface KilledRun {
  seed: number;
  command: typeof COMMANDS[number];
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
  const command = random.pick(COMMANDS);
  const end = random.pick(ENDS);
  await using bed = await makeBed({ guests: GUESTS });
  const before = guestsOf(bed.node);
  if (command !== "backup") await requireBackup(bed);
  const slow = { shutdownMs: 200, bytesPerSecond: 4_000_000, cleanupSeconds: 0.4, restoreMs: 150 };
  // The guests themselves, where they are streamed to, and the first free vmids of a restore test.
  for (const { vmid } of GUESTS) for (const one of [vmid, vmid + OFFSET]) bed.node.fault(one, slow);
  for (const vmid of [100, 103, 104]) bed.node.fault(vmid, slow);
  for (const dir of [bed.store, bed.node.dumpDir]) plantDecoys(dir);
  const decoys = [bed.store, bed.node.dumpDir].map(contentsOf);

  const { child, finished } = await bed.start(argsOf(command, bed, random));
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

function argsOf(command: KilledRun["command"], { store, node }: Bed, random: Random): string[] {
  const archives = ["--from", store, "--vmid", VMIDS];
  if (command === "backup") {
    return ["backup", "--all", "--to", store, "--backup-compression", random.pick(["0", "zstd"])];
  }
  if (command === "restore") return ["restore", ...archives, "--force"];
  if (command === "restore-test") return ["restore-test", ...archives, "--dump-dir", node.dumpDir];
  return ["restore", ...archives, "--newid-offset", String(OFFSET), "--restore-method", "stream"];
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
  // What a run says before it is killed is the plan, which tells nothing of what became of it.
  const told = [run.end.startsWith("SIGKILL") ? "" : withoutPlan(said), cleanup.stdout, cleanup.stderr].join(
    "\n",
  );
  lookAtGuests(bed, run, before, told);
  lookAtNewGuests(bed, run, before, told);
  if (run.status === 0 && run.told.length > 0) run.problems.push("status 0, but not all is well");
}

function withoutPlan(said: string): string {
  return said.split("\n").filter((line) => !/ {2}<- {2}|^ {4}| is restored as /.test(line)).join("\n");
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
  const only = ["--vmid", VMIDS];
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
    if (run.command !== "restore" && (!isWhole || run.command !== "backup")) run.problems.push(text);
    else tell(bed, run, { vmid, text }, said);
  }
}

/** A guest that came is one that was streamed and is whole, or it was told of. */
function lookAtNewGuests(bed: Bed, run: KilledRun, before: GuestsBefore, said: string): void {
  const { node } = bed;
  const came = Object.values(node.state().guests).filter(({ vmid }) => !before.has(vmid));
  for (const { vmid } of came) {
    const original = before.get(vmid - OFFSET)?.disks;
    const isWhole = JSON.stringify(disksOf(node, vmid)) === JSON.stringify(original);
    const lock = node.guest(vmid)?.lock;
    if (run.command === "stream" && isWhole && lock === undefined) continue;
    const text = `guest ${vmid} was left${isWhole ? "" : ", not whole"}${lock ? `, locked (${lock})` : ""}`;
    if (run.command === "stream" || run.command === "restore-test") tell(bed, run, { vmid, text }, said);
    else run.problems.push(text);
  }
}

/** What is not as it should be must have been said, or stand in a report as what it is. */
function tell(bed: Bed, run: KilledRun, { vmid, text }: { vmid: number; text: string }, said: string): void {
  if (new RegExp(`(VM|CT|Guest|guest) ${vmid}\\b`).test(said)) run.told.push(text);
  else if (failuresIn(bed).has(vmid)) run.told.push(`${text} (only the report tells)`);
  else run.problems.push(`${text}, and nothing tells of it`);
}

/** The guests that the kept reports of restores call anything but good. */
function failuresIn(bed: Bed): Set<number> {
  const dir = `${dirname(bed.node.dir)}/state`;
  try {
    const files = [...contentsOf(dir)].filter(([, digest]) => digest !== "directory");
    const reports = files.map(([path]) => JSON.parse(Deno.readTextFileSync(`${dir}/${path}`)));
    // deno-lint-ignore no-explicit-any -- parsed reports
    const guests = reports.flatMap((report): any[] => report.guests);
    return new Set(guests.filter(({ outcome }) => outcome !== "good").map(({ target }) => target));
  } catch {
    return new Set();
  }
}
