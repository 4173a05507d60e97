/** Builds `dist/plakar-proxmox` and its sha256 file. `--force` builds even when nothing changed. */
import { createHash } from "node:crypto";
import { type Base, carriedBase, namedBase, OFFICIAL_BASE } from "./compile_base.ts";
import { print } from "./print.ts";
import { deno, ROOT } from "./run.ts";

const DIST = `${ROOT}/dist`;
const NAME = "plakar-proxmox";
const BINARY = `${DIST}/${NAME}`;
const STAMP = `${DIST}/.${NAME}.json`;

/**
 * Types are checked by the gate, not here. The code cache stays off because a compiled program reads it from a
 * file of a predictable name in TMPDIR whoever owns that file: any local user could plant code for root.
 */
const FLAGS = ["--no-check", "--allow-all", "--no-code-cache"];

/** Loaded by path at run time, so `deno compile` does not see them in the module graph. */
const WORKERS = ["src/store/hashed_file_worker.ts"];

/** A download that hangs behind a silent firewall must not hang the build: minutes. */
const DOWNLOAD_MINUTES = 2;

interface Stamp {
  inputs: string;
  bytes: number;
  base: string;
}

/**
 * Absolute path of the compiled binary, built first if its inputs changed. Safe to call from several
 * processes at once. Throws when no base can be had or the program does not compile.
 */
export async function ensureBinary(): Promise<string> {
  await update();
  return BINARY;
}

/** Builds if something changed or `isForced`; answers what the binary was made from. */
async function update(isForced = false): Promise<Stamp> {
  await Deno.mkdir(DIST, { recursive: true });
  using lock = await Deno.open(`${DIST}/.lock`, { create: true, write: true });
  await lock.lock(true);
  const inputs = await hashInputs();
  const current = isForced ? undefined : await readStamp();
  return current?.inputs === inputs ? current : await build(inputs);
}

async function build(inputs: string): Promise<Stamp> {
  await refuseNodeModules();
  const folder = await Deno.makeTempDir({ dir: DIST, prefix: ".build-" });
  try {
    const made = `${folder}/${NAME}`;
    const base = await compile(made);
    const { size } = await Deno.stat(made);
    await Deno.writeTextFile(`${made}.sha256`, `${await sha256Of(made)}  ${NAME}\n`);
    const stamp: Stamp = { inputs, bytes: size, base: base.name };
    await Deno.writeTextFile(`${made}.json`, JSON.stringify(stamp));
    // The stamp goes last: whoever sees it sees the binary it describes.
    await Deno.rename(made, BINARY);
    await Deno.rename(`${made}.sha256`, `${BINARY}.sha256`);
    await Deno.rename(`${made}.json`, STAMP);
    print(`Built dist/${NAME} on the base ${base.name}`);
    return stamp;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compiles to `path` with the first base that can be had, and answers which. */
async function compile(path: string): Promise<Base> {
  const named = namedBase();
  if (named) {
    const failure = await tryCompile(path, named);
    if (failure) throw new Error(`Cannot compile with ${named.name}:\n${failure}`);
    return named;
  }
  const failure = await tryCompile(path, OFFICIAL_BASE);
  if (!failure) return OFFICIAL_BASE;
  // "Setting up base binary" is the step of `deno compile` that looks for its base, in its cache and on its host.
  if (!/Setting up base binary|no answer in time/.test(failure)) {
    throw new Error(`Cannot compile:\n${failure}`);
  }
  print(
    `Base not used: ${OFFICIAL_BASE.name}: ${failure.split("\n").at(-1)?.replace(/^\s*\d+: /, "").trim()}`,
  );
  const carried = await carriedBase();
  const again = await tryCompile(path, carried);
  if (again) throw new Error(`Cannot compile with the base ${carried.name}:\n${again}`);
  return carried;
}

/** Answers `undefined` when it worked, else what `deno compile` said. */
async function tryCompile(path: string, base: Base): Promise<string | undefined> {
  const workers = (await Promise.all(WORKERS.map(exists))).flatMap((found, i) =>
    found ? WORKERS[i] ?? [] : []
  );
  const result = await deno(
    ["compile", ...FLAGS, ...workers.flatMap((file) => ["--include", file]), "--output", path, "main.ts"],
    base.path ? { env: { DENORT_BIN: base.path } } : { minutes: DOWNLOAD_MINUTES },
  );
  if (result.timedOut) return `no answer in time (${DOWNLOAD_MINUTES} min)`;
  return result.code === 0 ? undefined : result.output;
}

/** `deno compile` embeds such a folder whole, whatever of it the program uses. */
async function refuseNodeModules(): Promise<void> {
  for (const name of ["node_modules", "package.json"]) {
    if (await exists(name)) throw new Error(`Cannot build: "${name}" would be embedded; remove it`);
  }
}

async function readStamp(): Promise<Stamp | undefined> {
  try {
    const stamp = JSON.parse(await Deno.readTextFile(STAMP)) as Stamp;
    const { size } = await Deno.stat(BINARY);
    return size === stamp.bytes ? stamp : undefined;
  } catch {
    return undefined; // nothing built yet, or not whole
  }
}

/** One digest of everything that decides what the binary becomes. */
async function hashInputs(): Promise<string> {
  const hash = createHash("sha256").update(
    JSON.stringify([Deno.version.deno, FLAGS, WORKERS, namedBase()?.path]),
  );
  for (const file of ["main.ts", "deno.json", "deno.lock", ...(await filesUnder("src"))]) {
    if (await exists(file)) hash.update(`\n${file}\n`).update(await Deno.readFile(`${ROOT}/${file}`));
  }
  return hash.digest("hex");
}

async function filesUnder(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(`${ROOT}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) files.push(...await filesUnder(path));
    else if (entry.isFile) files.push(path);
  }
  return files.sort();
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

function exists(file: string): Promise<boolean> {
  return Deno.stat(`${ROOT}/${file}`).then(() => true, () => false);
}

if (import.meta.main) {
  try {
    const { bytes, base } = await update(Deno.args.includes("--force"));
    print(`dist/${NAME} is up to date: ${(bytes / 1e6).toFixed(1)} MB on the base ${base}`);
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
