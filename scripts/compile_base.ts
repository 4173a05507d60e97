import { createHash } from "node:crypto";
import { deno } from "./run.ts";

/** What `deno compile` appends the program to. */
export interface Base {
  /** For people: where it comes from. */
  name: string;
  /** Path for DENORT_BIN; absent: `deno compile` finds or downloads its own. */
  path?: string;
}

/**
 * A `denort` carried by an npm package, for networks that reach npm and nothing else: the package holds a
 * program that was itself made by `deno compile`, which appends its payload behind the ELF section table.
 */
const CARRIED = {
  deno: "2.7.11",
  platform: "x86_64-unknown-linux-gnu",
  package: "@stdy/cli-linux-x64",
  version: "0.22.2",
  file: "bin/steady",
  bytes: 97_076_048,
  sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
} as const;

/** The base that the user names in DENORT_BIN, which wins over every other. */
export function namedBase(): Base | undefined {
  const path = Deno.env.get("DENORT_BIN");
  return path ? { name: `DENORT_BIN "${path}"`, path } : undefined;
}

/** Deno's own base, from its cache or its download host. */
export const OFFICIAL_BASE: Base = { name: `Deno's own, ${Deno.version.deno} for ${Deno.build.target}` };

/**
 * The base carried by an npm package, fetched once through Deno's npm cache and checked each time.
 * Throws where none is known for this Deno and machine, when npm cannot be reached, or when the bytes differ.
 */
export async function carriedBase(): Promise<Base> {
  if (Deno.version.deno !== CARRIED.deno || Deno.build.target !== CARRIED.platform) {
    throw new Error(
      `Cannot find a base for Deno ${Deno.version.deno} on ${Deno.build.target}; ` +
        `set DENORT_BIN to the denort program of this Deno version`,
    );
  }
  const { denoDir, npmCache } = await denoFolders();
  const folder = `${denoDir}/plakar-proxmox`;
  const path = `${folder}/denort-${CARRIED.deno}-${CARRIED.sha256.slice(0, 12)}`;
  if (!await holdsCarried(path)) {
    const bytes = cutElf(await Deno.readFile(await fetchCarrier(npmCache)));
    checkCarried(bytes);
    await Deno.mkdir(folder, { recursive: true });
    const part = await Deno.makeTempFile({ dir: folder });
    await Deno.writeFile(part, bytes);
    await Deno.chmod(part, 0o755);
    await Deno.rename(part, path);
  }
  return { name: `carried by npm:${CARRIED.package}@${CARRIED.version}, sha256 ${CARRIED.sha256}`, path };
}

/** The part of an ELF64 little-endian program up to the end of its section table; a view, not a copy. */
export function cutElf(program: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const header = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const isElf64 = program.length >= 64 && header.getUint32(0) === 0x7f454c46 &&
    header.getUint16(4) === 0x0201;
  if (!isElf64) throw new Error("Cannot cut the base: not an ELF64 little-endian program");
  const sectionTable = Number(header.getBigUint64(0x28, true));
  const end = sectionTable + header.getUint16(0x3a, true) * header.getUint16(0x3c, true);
  if (end > program.length) {
    throw new Error(`Cannot cut the base: ends at ${end}, has ${program.length} bytes`);
  }
  return program.subarray(0, end);
}

function checkCarried(bytes: Uint8Array): void {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (bytes.length === CARRIED.bytes && sha256 === CARRIED.sha256) return;
  throw new Error(
    `Cannot use the base of npm:${CARRIED.package}@${CARRIED.version}: ` +
      `expected ${CARRIED.bytes} bytes with sha256 ${CARRIED.sha256}, got ${bytes.length} with ${sha256}`,
  );
}

async function holdsCarried(path: string): Promise<boolean> {
  try {
    checkCarried(await Deno.readFile(path));
    return true;
  } catch {
    return false; // missing or damaged: it is fetched anew
  }
}

/** Lets Deno fetch the package (its scripts never run) and answers the path of the carrying program. */
async function fetchCarrier(npmCache: string): Promise<string> {
  const fetched = await deno(["cache", "--no-config", `npm:${CARRIED.package}@${CARRIED.version}`]);
  if (fetched.code !== 0) {
    throw new Error(`Cannot fetch npm:${CARRIED.package}@${CARRIED.version}: ${fetched.output}`);
  }
  // The cache has one folder per registry, named by its host: whichever npm registry is configured will do.
  for await (const registry of Deno.readDir(npmCache)) {
    const path = `${npmCache}/${registry.name}/${CARRIED.package}/${CARRIED.version}/${CARRIED.file}`;
    const found = await Deno.stat(path).then((info) => info.isFile, () => false);
    if (found) return path;
  }
  throw new Error(`Cannot find "${CARRIED.file}" of ${CARRIED.package} under "${npmCache}"`);
}

async function denoFolders(): Promise<{ denoDir: string; npmCache: string }> {
  const info = await deno(["info", "--json", "--no-config"]);
  if (info.code !== 0) throw new Error(`Cannot ask Deno for its cache: ${info.output}`);
  return JSON.parse(info.stdout) as { denoDir: string; npmCache: string };
}
