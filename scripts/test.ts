/**
 * Runs the tests with all they need and sums them up in the last line: `N passed, N failed`.
 * Arguments: test files or folders (default: all), `--minutes=N` (time limit), and options of `deno test`
 * such as `--filter=TEXT`. With CI=true the checks of `task ok` run first and a skipped test is a failure.
 */
import { LACKS_FILE } from "../tests/needs.ts";
import { runChecks } from "./checks.ts";
import { ensureBinary } from "./compile.ts";
import { addCounts, countJunit, type Counts, NOTHING, ONE_FAILURE, sentenceOf } from "./junit.ts";
import { print } from "./print.ts";
import { type Ended, runGroup } from "./process_group.ts";
import { ROOT } from "./run.ts";
import { provideTools } from "./test_tools.ts";

const DEFAULT_MINUTES = 40;

/** Tests under these folders use no machine-wide things: they run on all cores. The others run two at a time. */
const LIGHT = ["tests/unit/", "tests/pve/"];

export interface Request {
  minutes: number;
  paths: string[];
  /** Options for `deno test`. */
  passed: string[];
}

/** The arguments of the command line; `--filter TEXT` may be two words. */
export function parseArguments(args: readonly string[]): Request {
  const request: Request = { minutes: DEFAULT_MINUTES, paths: [], passed: [] };
  const words = [...args];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const minutes = /^--minutes=(\d+(?:\.\d+)?)$/.exec(word)?.[1];
    if (minutes !== undefined) request.minutes = Number(minutes);
    else if (word === "--filter") request.passed.push(`--filter=${words.shift() ?? ""}`);
    else if (word.startsWith("-")) request.passed.push(word);
    else request.paths.push(word.replace(`${ROOT}/`, "").replace(/^\.\//, "").replace(/\/+$/, ""));
  }
  return request;
}

/** Test files under `folder` (relative to the project), of `paths` only unless that is empty. */
async function testFiles(folder: string, paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(`${ROOT}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await testFiles(path, paths));
    else if (/_test\.ts$/.test(path) && isWanted(path, paths)) files.push(path);
  }
  return files.sort();
}

function isWanted(file: string, paths: readonly string[]): boolean {
  return paths.length === 0 || paths.some((path) => file === path || file.startsWith(`${path}/`));
}

/**
 * Runs `files` in one `deno test`. A run that breaks off or takes too long counts as one failure; throws when a
 * signal asked us to stop.
 */
export async function runFiles(
  files: string[],
  request: Request,
  setting: Setting,
  jobs?: number,
): Promise<Counts> {
  if (files.length === 0) return NOTHING;
  const report = `${setting.folder}/report-${jobs ?? "all"}.xml`;
  const ended = await runGroup(
    [Deno.execPath(), "test", "-A", "--parallel", `--junit-path=${report}`, ...request.passed, ...files],
    {
      until: setting.until,
      output: setting.isQuiet ? "null" : "inherit",
      cwd: ROOT,
      env: { [LACKS_FILE]: setting.lacks, RUST_BACKTRACE: "0", ...(jobs ? { DENO_JOBS: String(jobs) } : {}) },
    },
  );
  const xml = await Deno.readTextFile(report).catch(() => "");
  const counts = countJunit(xml, filterOf(request.passed));
  if (ended.stopped && ended.stopped !== "time") throw new Error(`${ended.stopped} ended the test run`);
  const complaint = complaintOf(ended, counts, xml !== "", request.minutes);
  if (complaint === undefined) return counts;
  if (!setting.isQuiet) print(complaint);
  return addCounts(counts, ONE_FAILURE);
}

/** Why a run's own counts do not tell all, or `undefined` if they do. */
function complaintOf(ended: Ended, counts: Counts, hasReport: boolean, minutes: number): string | undefined {
  if (ended.stopped) return `The time limit of ${minutes} min ended the test run (--minutes=N changes it)`;
  if (ended.code !== 0 && counts.failed === 0) return `The test run broke off with exit status ${ended.code}`;
  return hasReport ? undefined : "The test run left no report";
}

/** The value of `--filter`, if it was given. */
function filterOf(options: readonly string[]): string | undefined {
  return options.find((option) => option.startsWith("--filter="))?.slice("--filter=".length);
}

export interface Setting {
  folder: string;
  /** File that collects what skipped tests lacked. */
  lacks: string;
  /** When the time is up: milliseconds of the clock. */
  until: number;
  /** Keeps the run's own output to itself. */
  isQuiet?: boolean;
}

async function runTests(request: Request, folder: string): Promise<Counts> {
  const setting = { folder, lacks: `${folder}/lacks`, until: Date.now() + request.minutes * 60_000 };
  const files = await testFiles("tests", request.paths);
  const light = files.filter((file) => LIGHT.some((prefix) => file.startsWith(prefix)));
  const heavy = files.filter((file) => !light.includes(file));
  print(`Running ${files.length} test files, at most ${request.minutes} min`);
  const lightCounts = await runFiles(light, request, setting);
  const heavyCounts = heavy.length === 0 ? NOTHING : await orFailure(async () => {
    // Built only now: a program that does not compile must not hide what the light tests say.
    await ensureBinary();
    return await runFiles(heavy, request, setting, 2);
  });
  const counts = addCounts(lightCounts, heavyCounts);
  for (const name of counts.skipped) print(`skipped: ${name}`);
  const lacks = new Set((await Deno.readTextFile(setting.lacks).catch(() => "")).split("\n").filter(Boolean));
  if (lacks.size && counts.skipped.length) print(`skipped for lack of: ${[...lacks].sort().join(", ")}`);
  return counts;
}

/** What `work` counts; what it throws is said and counts as one failure. */
async function orFailure(work: () => Promise<Counts>): Promise<Counts> {
  try {
    return await work();
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    return ONE_FAILURE;
  }
}

/** Prepares, runs, sums up; answers the exit status. */
async function main(args: readonly string[]): Promise<number> {
  const strict = Deno.env.get("CI") === "true";
  const request = parseArguments(args);
  const folder = await Deno.makeTempDir({ prefix: "plakar-proxmox-test-" });
  const isWhole = request.paths.length === 0 && request.passed.length === 0;
  const checkCounts = strict && isWhole && !await runChecks() ? ONE_FAILURE : NOTHING;
  const testCounts = await orFailure(async () => {
    await provideTools();
    return await runTests(request, folder);
  });
  await Deno.remove(folder, { recursive: true });
  const counts = addCounts(checkCounts, testCounts);
  if (counts.passed + counts.failed === 0) print("No test ran");
  if (strict && counts.skipped.length) print("With CI=true a skipped test is a failure");
  print(sentenceOf(counts));
  return exitStatus(counts, strict);
}

/** 0 only if tests ran, none failed, and, when `strict`, none was skipped. */
export function exitStatus(counts: Counts, strict: boolean): number {
  if (counts.failed > 0 || counts.passed === 0) return 1;
  return strict && counts.skipped.length > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
