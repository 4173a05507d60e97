// deno-lint-ignore-file no-sync-fn-in-async-fn -- nothing else runs meanwhile
/** Carries out one row of the fault table and holds it to all that it says. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type Bed, type Finished, makeBed } from "../cli/harness.ts";
import { needs } from "../needs.ts";
import { clockEnvironment, setClock } from "./clock.ts";
import type { FaultCase, FaultGroup, Verdict } from "./case.ts";
import { onDisksOf, programsFor, temporary } from "./disks.ts";
import { contentsOf, guestsOf, plantDecoys, requireGuests, requireSilence } from "./traces.ts";
import { toolRuns } from "./troubles.ts";

/** Seconds until a run counts as hanging. */
const LIMIT = 60;

/** Control characters but the newline, and those that turn the direction of writing. */
const STEERING = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u;

/** Declares a test per case. */
export function testCases({ title, cases }: FaultGroup): void {
  for (const row of cases) {
    const programs = [
      ...programsFor(row),
      ...row.isUser ? ["unshare", "root"] : [],
      ...row.clock ? ["faketime"] : [],
    ];
    Deno.test({ name: `${title}: ${row.name}`, ...needs(...programs), fn: () => runCase(row) });
  }
}

/** Runs one case; throws where anything is not as the row has it. */
export async function runCase(row: FaultCase): Promise<void> {
  await using bed = await makeBed(row.node);
  const before = guestsOf(bed.node);
  const snapshot = row.backedUp ? await backUp(bed, row) : undefined;
  for (const dir of [bed.store, bed.node.dumpDir, temporary(bed)]) plantDecoys(dir);
  const fault = await row.setUp?.(bed);
  const places = [bed.store, bed.node.dumpDir, temporary(bed)];
  const files = places.map(contentsOf);

  const { binary, args, env } = commandOf(bed, row, snapshot);
  const ended = await run(bed, row, binary, args, env).finally(() => fault?.[Symbol.dispose]());
  const told = `${ended.stdout}\n${ended.stderr}`.slice(-4000);

  assert.equal(ended.status, row.status, told);
  if (row.says) assert.match(ended.stderr, row.says);
  assert.doesNotMatch(ended.stdout + ended.stderr, STEERING, "something that steers a terminal is printed");
  await requireSilence(bed);
  const made = newSnapshots(files[0] as Map<string, string>, contentsOf(bed.store));
  requireFiles(bed, places, files, made);
  if (row.args[0] === "backup") await requireBackup(bed, row, ended, made);
  else requireRestore(row, ended);
  requireGuests(bed.node, before, row.guests);
}

/** What backups of the same guests made, by guests and flags: path below the store and bytes. */
const made = new Map<string, Map<string, Uint8Array>>();

/** Backs the guests up, or puts the same backup there again. Answers the snapshot's path. */
async function backUp(bed: Bed, row: FaultCase): Promise<string> {
  const key = JSON.stringify([row.node, row.backedUp]);
  const known = made.get(key);
  if (known) {
    for (const [path, bytes] of known) {
      Deno.mkdirSync(dirname(`${bed.store}/${path}`), { recursive: true });
      Deno.writeFileSync(`${bed.store}/${path}`, bytes);
    }
  } else {
    const { status, stderr } = await bed.run(["backup", "--all", "--to", bed.store, ...row.backedUp ?? []]);
    assert.equal(status, 0, stderr);
    const files = [...contentsOf(bed.store)].filter(([, digest]) => digest !== "directory");
    made.set(key, new Map(files.map(([path]) => [path, Deno.readFileSync(`${bed.store}/${path}`)])));
  }
  return bed.snapshot().path;
}

function commandOf(bed: Bed, row: FaultCase, snapshot = "none") {
  const filled = (text: string) =>
    text.replace(/^STORE/, bed.store).replace(/^SNAPSHOT/, snapshot)
      .replace(/^DUMPS/, bed.node.dumpDir).replace(/^NODE/, bed.node.dir);
  const args = row.args.map(filled);
  if (!args.includes("--dump-dir")) args.push("--dump-dir", bed.node.dumpDir);
  const given = Object.entries(row.env ?? {}).map(([key, text]) => [key, filled(text)]);
  const clock = row.clock ? clockEnvironment(bed) : {};
  const env = { TMPDIR: temporary(bed), ...clock, ...Object.fromEntries(given) };
  const command = [bed.binary, ...args, "--json"];
  // Nobody is mapped into the new user namespace: the uid is that of nobody, the files stay our own.
  const [binary = "", ...rest] = row.isUser ? ["unshare", "-U", ...command] : onDisksOf(bed, row, command);
  return { binary, args: rest, env };
}

async function run(
  bed: Bed,
  row: FaultCase,
  binary: string,
  args: string[],
  env: Record<string, string>,
): Promise<Finished> {
  const { during, by = "+0" } = row.clock ?? {};
  if (row.clock) setClock(bed, during === undefined ? by : "+0");
  const jump = async () => {
    if (during === undefined) return;
    await toolRuns(bed, during);
    setClock(bed, by);
  };
  const running = await bed.start(args, env, binary);
  const limit = setTimeout(() => running.child.kill("SIGKILL"), LIMIT * 1000);
  try {
    const [ended] = await Promise.all([running.finished, jump(), row.meanwhile?.(bed, running)]);
    return ended;
  } finally {
    clearTimeout(limit);
  }
}

/** Directories in the store that were not there before. */
function newSnapshots(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...after.keys()].filter((path) => !path.includes("/") && !before.has(path));
}

/** Everything that stood there is there, byte by byte, and nothing came but one snapshot without part files. */
function requireFiles(bed: Bed, places: string[], before: Map<string, string>[], snapshots: string[]): void {
  for (const [index, place] of places.entries()) {
    const now = contentsOf(place);
    for (const name of place === bed.store ? snapshots : []) {
      for (const path of [...now.keys()]) {
        if (path !== name && !path.startsWith(`${name}/`)) continue;
        assert.ok(!path.endsWith(".part"), `"${path}" is left in the store`);
        now.delete(path);
      }
    }
    assert.deepEqual(now, before[index], `the files in "${place}"`);
  }
  assert.ok(snapshots.length <= 1, snapshots.join());
}

async function requireBackup(bed: Bed, row: FaultCase, ended: Finished, snapshots: string[]): Promise<void> {
  const [name] = snapshots;
  if (!row.report) return assert.equal(name, undefined, "a snapshot of a run that was refused");
  const lines = ended.json.filter(({ type }) => type === "guest").map(({ type: _, ...guest }) => guest);
  requireVerdicts(row.report, lines);
  // Of a run that had nothing to dump no directory is kept.
  if (name === undefined) return assert.ok(lines.every(({ outcome }) => outcome === "failed"), "no snapshot");
  const snapshot = `${bed.store}/${name}`;
  requireReport(`${snapshot}/report.json`, row, lines);
  const good = lines.filter(({ outcome }: { outcome: string }) => outcome === "good");
  const archives = good.map(({ archive }: { archive: { name: string } }) => archive.name);
  const stored = [...Deno.readDirSync(snapshot)].map((entry) => entry.name)
    .filter((entry) => entry.startsWith("vzdump-") && !entry.endsWith(".json"));
  assert.deepEqual(stored.sort(), archives.sort(), "the archives in the store are those called good");
  if (archives.length === 0) return;
  const verified = await bed.run(["verify", "--from", snapshot]);
  assert.equal(
    verified.status,
    row.verify ?? 0,
    `what is called good does not verify: ${verified.stdout}${verified.stderr}`,
  );
}

function requireReport(path: string, { incomplete }: FaultCase, lines: unknown[]): void {
  if (incomplete) return assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
  const report = JSON.parse(Deno.readTextFileSync(path));
  assert.deepEqual(lines, report.guests, "--json and report.json differ");
  requireDurations(report);
}

// deno-lint-ignore no-explicit-any -- a parsed report
const vmidFirst = (guest: any) => ({ ...guest, vmid: guest.target ?? guest.vmid });

function requireRestore(row: FaultCase, ended: Finished): void {
  if (row.args[0] !== "restore") return;
  const lines = ended.json.filter(({ type }) => type === "guest");
  if (!row.report) return assert.deepEqual(lines, [], "a report of a run that was refused");
  const report = JSON.parse(Deno.readTextFileSync(ended.json.at(-1).report));
  assert.deepEqual(
    lines.map(({ type: _, ...guest }) => guest),
    report.guests,
    "--json and the report differ",
  );
  requireDurations(report);
  requireVerdicts(row.report, lines.map(vmidFirst));
}

/** Whatever the clock does, nothing takes less than no time, or more than there was. */
// deno-lint-ignore no-explicit-any -- a parsed report
function requireDurations({ started, finished, guests }: any): void {
  const all = (Date.parse(finished) - Date.parse(started)) / 1000;
  for (const seconds of [all, ...guests.map((guest: { seconds: number }) => guest.seconds)]) {
    assert.ok(seconds >= 0 && seconds <= LIMIT, `"${seconds}" seconds in a report`);
  }
}

// deno-lint-ignore no-explicit-any -- parsed reports
function requireVerdicts(expected: Record<number, Verdict>, guests: any[]): void {
  const outcomes = Object.fromEntries(guests.map(({ vmid, outcome }) => [vmid, outcome]));
  const wanted = Object.fromEntries(Object.entries(expected).map(([vmid, { outcome }]) => [vmid, outcome]));
  assert.deepEqual(outcomes, wanted, guests.map(({ error }) => error).join("\n"));
  for (const { vmid, error, warnings } of guests) {
    const { says } = expected[vmid] as Verdict;
    const said = error ?? warnings.join("\n");
    if (says) assert.match(said, says, `what is said of guest ${vmid}: ${said}`);
  }
}
