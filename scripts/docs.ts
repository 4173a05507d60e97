/** Writes the generated parts of documents; `--check` only says which of them are out of date. */
import { type ErrorKind, EXIT_MEANINGS, EXIT_STATUS } from "../src/core/errors.ts";
import { flagTable, optionTable, plakarTable } from "./docs_options.ts";
import { optionSchema } from "./docs_schema.ts";
import { renderFaults } from "./faults_doc.ts";
import { table } from "./markdown.ts";
import { print } from "./print.ts";
import { deno, ROOT } from "./run.ts";

/** A generated part: a block between markers, or the whole file where `block` is absent. */
export interface Generated {
  /** Path inside the project; its ending tells the formatter. */
  file: string;
  /** Name in `<!-- generated:NAME -->` … `<!-- /generated -->`. */
  block?: string;
  render: () => string;
}

/** Every generated part of the project. */
const GENERATED: readonly Generated[] = [
  { file: "README.md", block: "flags", render: flagTable },
  { file: "README.md", block: "options-selection", render: () => optionTable("options-selection") },
  { file: "README.md", block: "options-backup", render: () => optionTable("options-backup") },
  { file: "README.md", block: "options-restore", render: () => optionTable("options-restore") },
  { file: "README.md", block: "options-where", render: () => optionTable("options-where") },
  { file: "README.md", block: "options-plakar", render: plakarTable },
  { file: "README.md", block: "exit-statuses", render: renderExitStatuses },
  { file: "package/importer.schema.json", render: () => optionSchema("importer") },
  { file: "package/exporter.schema.json", render: () => optionSchema("exporter") },
  { file: "docs/faults.md", render: renderFaults },
];

function renderExitStatuses(): string {
  const rows = (Object.keys(EXIT_MEANINGS) as ErrorKind[])
    .sort((a, b) => EXIT_STATUS[a] - EXIT_STATUS[b])
    .map((kind) => [kind === "interrupted" ? "128 + n" : EXIT_STATUS[kind], EXIT_MEANINGS[kind]] as const);
  return table(["status", "meaning"], [[0, "all done"], ...rows]);
}

/**
 * `text` with each of `parts` rendered into its block. Throws when a block has no place or no source:
 * either would go stale unseen.
 */
export function fillBlocks(text: string, parts: readonly Generated[]): string {
  const left = new Map(parts.map((part) => [part.block, part.render]));
  const filled = text.replaceAll(
    /(<!-- generated:([\w-]+) -->)(.*?)(<!-- \/generated -->)/gs,
    (_whole, open: string, name: string, _old: string, close: string) => {
      const render = left.get(name);
      if (!render) {
        throw new Error(`Cannot generate the block "${name}": no source, or it stands there twice`);
      }
      left.delete(name);
      return `${open}\n\n${render()}\n\n${close}`;
    },
  );
  if (left.size) {
    throw new Error(`Cannot generate: no place for the block "${[...left.keys()].join('", "')}"`);
  }
  return filled;
}

/** What `file` should hold, formatted as `deno fmt` wants it; `undefined` for a document that does not exist. */
async function generate(file: string, parts: readonly Generated[]): Promise<string | undefined> {
  const [first] = parts;
  const current = await Deno.readTextFile(`${ROOT}/${file}`).catch(() => undefined);
  const isWhole = first !== undefined && first.block === undefined;
  if (current === undefined && !isWhole) return undefined;
  const text = isWhole ? first.render() : fillBlocks(current ?? "", parts);
  const formatted = await deno(["fmt", `--ext=${file.split(".").at(-1)}`, "-"], { stdin: text });
  if (formatted.code !== 0) throw new Error(`Cannot format "${file}": ${formatted.output}`);
  return formatted.stdout;
}

async function main(isCheck: boolean): Promise<number> {
  let stale = 0;
  for (const [file, parts] of Map.groupBy(GENERATED, (part) => part.file)) {
    const wanted = await generate(file, parts);
    if (wanted === undefined) {
      print(`${file} does not exist: nothing to fill in`);
      continue;
    }
    if (wanted === await Deno.readTextFile(`${ROOT}/${file}`).catch(() => undefined)) continue;
    if (isCheck) {
      stale++;
      print(`${file} is out of date`);
    } else {
      await Deno.writeTextFile(`${ROOT}/${file}`, wanted);
      print(`Wrote ${file}`);
    }
  }
  return stale;
}

if (import.meta.main) {
  try {
    if (await main(Deno.args.includes("--check")) > 0) Deno.exit(1);
  } catch (error) {
    print(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
