/**
 * Programs written in Go that tests run: the real plakar, and tools that may lie beside the project. Each is built
 * once and kept in the user's cache. Tests that call this declare `needs("go")`.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** The plakar that the tests run against; `build/go.mod` asks for the same. */
export const PLAKAR_VERSION = "v1.1.4";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Tools that a checkout may have beside it; tests that use one do without where it is missing. */
export type SharedTool = "plugdrive" | "streamplug";

const SHARED_TOOLS = fileURLToPath(new URL("../../../shared/tools", import.meta.url));

/** Path of the real plakar. The first time it is built, which takes minutes and needs Go's module proxy. */
export async function buildPlakar(): Promise<string> {
  return await build("plakar", `${HERE}build`, "github.com/PlakarKorp/plakar");
}

/** Whether the sources of `name` are there. */
export function hasSharedTool(name: SharedTool): boolean {
  try {
    return Deno.statSync(`${SHARED_TOOLS}/${name}/go.mod`).isFile;
  } catch {
    return false;
  }
}

/** Path of a tool whose sources are there. */
export async function buildSharedTool(name: SharedTool): Promise<string> {
  return await build(name, `${SHARED_TOOLS}/${name}`, ".");
}

/**
 * Path of the program `name`, built from Go package `target` as seen from the module in `sources`, unless that was
 * done before with the same sources. Safe to call from several processes at once: one builds, the others wait.
 */
async function build(name: string, sources: string, target: string): Promise<string> {
  const files = await readFiles(sources);
  const hash = createHash("sha256").update(target);
  for (const [path, bytes] of files) hash.update(`\n${path} ${bytes.length}\n`).update(bytes);
  const folder = `${cacheFolder()}/${name}-${hash.digest("hex").slice(0, 12)}`;
  const program = `${folder}/${name}`;
  await Deno.mkdir(folder, { recursive: true });
  using lock = await Deno.open(`${folder}/lock`, { create: true, write: true });
  await lock.lock(true);
  if (await Deno.stat(program).then(() => true, () => false)) return program;
  await compile(files, target, program);
  return program;
}

/** Builds in a copy of the sources, which `go build` writes to, and puts the program in place when it is whole. */
async function compile(
  files: ReadonlyMap<string, Uint8Array>,
  target: string,
  program: string,
): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "plakar-proxmox-go-" });
  try {
    for (const [path, bytes] of files) {
      await Deno.mkdir(`${work}/${path}`.replace(/[^/]*$/, ""), { recursive: true });
      await Deno.writeFile(`${work}/${path}`, bytes);
    }
    const { code, stderr } = await new Deno.Command("go", {
      args: ["build", "-mod=mod", "-o", `${program}.part`, target],
      cwd: work,
      env: { GOWORK: "off" },
      stdin: "null",
    }).output();
    if (code !== 0) {
      const lines = new TextDecoder().decode(stderr).trim().split("\n");
      throw new Error(`Cannot build "${program}": go ended with ${code}: ${lines.slice(-20).join("\n")}`);
    }
    await Deno.rename(`${program}.part`, program);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Contents of the files below `folder`, by their sorted paths in it. */
async function readFiles(folder: string, below = ""): Promise<Map<string, Uint8Array>> {
  const entries = await Array.fromAsync(Deno.readDir(`${folder}/${below}`));
  const files = new Map<string, Uint8Array>();
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = `${below}${name}`;
    if (!isDirectory) files.set(path, await Deno.readFile(`${folder}/${path}`));
    else for (const [inner, bytes] of await readFiles(folder, `${path}/`)) files.set(inner, bytes);
  }
  return files;
}

function cacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
  return `${base}/plakar-proxmox-tests`;
}
