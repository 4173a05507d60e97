/**
 * Generates the code of the messages in `src/plugin/proto/*.proto`; `--check` writes nothing and shows what would
 * change. Needs npm: the compiler and its plugin are fetched like any other package.
 */
import { print } from "./print.ts";
import { deno, ROOT } from "./run.ts";

const FOLDER = `${ROOT}/src/plugin/proto`;
const COMPILER = "npm:@bufbuild/buf@1.74.0";
/** Of the same version as the library in deno.json: the code it makes calls that library. */
const PLUGIN = "npm:@bufbuild/protoc-gen-es@2.17.0";

/** Runs a npm package's program without writing it into the project's lock file: nothing shipped depends on it. */
const RUN = ["run", "-A", "--quiet", "--no-config", "--no-lock"];

/** Text of each generated file, by its name. */
async function generate(): Promise<Map<string, string>> {
  const folder = await Deno.makeTempDir({ prefix: "plakar-proxmox-proto-" });
  try {
    const plugin = {
      local: [Deno.execPath(), ...RUN, PLUGIN],
      out: ".",
      opt: ["target=ts", "import_extension=ts"],
    };
    const template = JSON.stringify({ version: "v2", plugins: [plugin] });
    const args = [COMPILER, "generate", FOLDER, "--template", template, "--output", folder];
    const run = await deno([...RUN, ...args], { env: { BUF_CACHE_DIR: `${folder}/cache` } });
    if (run.code !== 0) throw new Error(`Cannot generate the messages: ${run.output}`);
    const names = await generatedFiles(folder);
    return new Map(await Promise.all(names.map(async (name) => [name, await finish(folder, name)] as const)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function generatedFiles(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.map(({ name }) => name).filter((name) => name.endsWith("_pb.ts")).sort();
}

/** Generated code, as Deno wants it: formatted, exempt from lint. */
async function finish(folder: string, name: string): Promise<string> {
  const code = await Deno.readTextFile(`${folder}/${name}`);
  const formatted = await deno(["fmt", "--ext=ts", "-"], { stdin: `// deno-lint-ignore-file\n${code}` });
  if (formatted.code !== 0) throw new Error(`Cannot format "${name}": ${formatted.output}`);
  return formatted.stdout;
}

/** Lines that differ, those of `old` with `-`, those of `now` with `+`. */
async function difference(old: string, name: string, now: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: `-${name}` });
  try {
    await Deno.writeTextFile(file, now);
    const diff = await new Deno.Command("diff", { args: ["-u", old, file], stderr: "inherit" }).output();
    return new TextDecoder().decode(diff.stdout);
  } finally {
    await Deno.remove(file);
  }
}

/** Answers how many files are out of date. */
async function main(isCheck: boolean): Promise<number> {
  const files = await generate();
  const present = await generatedFiles(FOLDER);
  let stale = 0;
  for (const name of new Set([...files.keys(), ...present])) {
    const path = `${FOLDER}/${name}`;
    const wanted = files.get(name);
    if (wanted === await Deno.readTextFile(path).catch(() => undefined)) continue;
    stale++;
    if (isCheck) {
      print(`src/plugin/proto/${name} is out of date`);
      print(await difference(present.includes(name) ? path : "/dev/null", name, wanted ?? ""));
    } else if (wanted === undefined) {
      await Deno.remove(path);
      print(`Removed src/plugin/proto/${name}`);
    } else {
      await Deno.writeTextFile(path, wanted);
      print(`Wrote src/plugin/proto/${name}`);
    }
  }
  return isCheck ? stale : 0;
}

if (import.meta.main) {
  try {
    if (await main(Deno.args.includes("--check")) > 0) Deno.exit(1);
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
