/**
 * The command-line parser of Proxmox's tools, driven by the table of options that the real parsers of
 * each release declare. Same rules as Getopt::Long with PVE's schemas, same texts.
 */
import { ToolError, warn } from "./context.ts";
import { formatProblem } from "./formats.ts";
import { atLeast } from "./state.ts";

interface OptionSchema {
  type: string;
  optional?: number;
  format?: string;
  enum?: string[];
  minimum?: number | string;
  maximum?: number | string;
  maxLength?: number;
  max_n?: number;
  only?: string;
  requires?: string;
  changed?: Record<string, Partial<OptionSchema>>;
}

interface CommandSchema {
  positional: string[];
  options: Record<string, OptionSchema>;
}

/** Parsed and checked parameters by option name. Lists are joined by commas. */
export type Parameters = Map<string, string>;

export class ParsedArguments {
  constructor(readonly values: Parameters) {}

  text(name: string): string | undefined {
    return this.values.get(name);
  }

  /** An integer option. */
  number(name: string): number | undefined {
    const value = this.values.get(name);
    return value === undefined ? undefined : Number(value);
  }

  flag(name: string): boolean {
    return this.values.get(name) === "1";
  }

  /** A positional argument; the parser has made sure that it is there. */
  required(name: string): string {
    return this.values.get(name)!;
  }
}

function loadTable(): { commands: Record<string, CommandSchema> } {
  const path = new URL("../fixtures/pve-cli-options.json", import.meta.url);
  return JSON.parse(Deno.readTextFileSync(path));
}

/** Every option that `release` knows for the command, numbered ones written out, earlier values applied. */
function schemaOf(command: CommandSchema, release: string): Map<string, OptionSchema> {
  const schema = new Map<string, OptionSchema>();
  for (const [name, declared] of Object.entries(command.options)) {
    if (declared.only !== undefined) {
      const [first, last] = declared.only.split("..") as [string, string];
      if (!atLeast(release, first) || !atLeast(last, release)) continue;
    }
    const option = { ...declared, ...valueBefore(declared, release) };
    if (!name.endsWith("[n]")) schema.set(name, option);
    else for (let n = 0; n <= (option.max_n ?? 0); n++) schema.set(name.slice(0, -3) + n, option);
  }
  return schema;
}

/**
 * `changed` maps a first release to the values from then on, until the next one listed; the table does not
 * say when the last of them ended, so an entry counts for its major release only.
 */
function valueBefore(option: OptionSchema, release: string): Partial<OptionSchema> {
  let found: Partial<OptionSchema> = {};
  for (const [first, values] of Object.entries(option.changed ?? {})) {
    if (atLeast(release, first) && release.split(".")[0] === first.split(".")[0]) found = values;
  }
  return found;
}

const isList = (option: OptionSchema) => option.type === "array" || /-a?list$/.test(option.format ?? "");

/** Splits words into options and positional arguments. */
class Getopt {
  readonly positional: string[] = [];
  readonly options = new Map<string, string[]>();
  readonly complaints: string[] = [];

  constructor(readonly schema: ReadonlyMap<string, OptionSchema>, words: readonly string[]) {
    const queue = [...words];
    while (queue.length > 0) {
      const word = queue.shift()!;
      if (word === "--") {
        this.positional.push(...queue);
        return;
      }
      const match = /^--?([^-=][^=]*)(?:=([\s\S]*))?$/.exec(word);
      if (match) this.#option(match[1]!, match[2], queue);
      else this.positional.push(word);
    }
  }

  #resolve(written: string): string | undefined {
    // Case is ignored, also of names such as forceStop.
    const name = written.toLowerCase();
    const exact = [...this.schema.keys()].find((option) => option.toLowerCase() === name);
    if (exact !== undefined) return exact;
    const candidates = [...this.schema.keys()].filter((option) => option.toLowerCase().startsWith(name));
    if (candidates.length === 1) return candidates[0];
    this.complaints.push(
      candidates.length === 0
        ? `Unknown option: ${name}`
        : `Option ${name} is ambiguous (${candidates.sort().join(", ")})`,
    );
    return undefined;
  }

  #option(written: string, inline: string | undefined, queue: string[]): void {
    const name = this.#resolve(written);
    if (name === undefined) return;
    let value = inline;
    if (value === undefined && this.schema.get(name)!.type === "boolean") {
      // An optional value: the next word is taken unless it is an option; "-" alone is a value.
      const next = queue[0];
      value = next !== undefined && (next === "-" || !next.startsWith("-")) ? queue.shift()! : "";
    } else if (value === undefined) {
      value = queue.shift();
      if (value === undefined) {
        this.complaints.push(`Option ${name} requires an argument`);
        return;
      }
    }
    this.options.set(name, [...(this.options.get(name) ?? []), value]);
  }
}

/** A parser error: its lines, then the usage line, on stderr. */
function usageError(command: string, schema: CommandSchema, lines: readonly string[]): ToolError {
  const words = schema.positional.map((name) => command === "vzdump" ? "{<vmid>}" : `<${name}>`);
  return new ToolError([...lines, [command, ...words, "[OPTIONS]"].join(" ")].join("\n"));
}

function parseBoolean(value: string): string | undefined {
  if (value === "" || /^(1|on|yes|true)$/i.test(value)) return "1";
  return /^(0|off|no|false)$/i.test(value) ? "0" : undefined;
}

/** The reason why `value` is not valid, undefined if it is. */
function problem(option: OptionSchema, value: string): string | undefined {
  const { type } = option;
  if (type === "integer" && !/^[+-]?\d+$/.test(value)) {
    return `type check ('integer') failed - got '${value}'`;
  }
  if (type === "number" && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) {
    return `type check ('number') failed - got '${value}'`;
  }
  if (option.format !== undefined) {
    const reason = formatProblem(option.format, value);
    if (reason !== undefined) return `invalid format - ${reason}`;
  }
  if (option.maxLength !== undefined && value.length > option.maxLength) {
    return `value may only be ${option.maxLength} characters long`;
  }
  if (option.enum !== undefined && !option.enum.includes(value)) {
    return `value '${value}' does not have a value in the enumeration '${option.enum.join(", ")}'`;
  }
  if (type !== "integer" && type !== "number") return undefined;
  if (option.minimum !== undefined && Number(value) < Number(option.minimum)) {
    return `value must have a minimum value of ${option.minimum}`;
  }
  if (option.maximum !== undefined && Number(value) > Number(option.maximum)) {
    return `value must have a maximum value of ${option.maximum}`;
  }
  return undefined;
}

function verify(
  values: Parameters,
  schema: ReadonlyMap<string, OptionSchema>,
  positional: readonly string[],
  release: string,
): string[] {
  const reasons: string[] = [];
  for (const [name, value] of values) {
    const option = schema.get(name)!;
    const reason = problem(option, value);
    if (reason !== undefined) reasons.push(`${name}: ${reason}`);
    if (option.requires !== undefined && option.requires !== "restore" && !values.has(option.requires)) {
      reasons.push(
        atLeast(release, "9.0")
          ? `${option.requires}: missing property required by '${name}'`
          : `${option.requires}: missing property - '${name}' requires this property`,
      );
    }
  }
  for (const [name, option] of schema) {
    if (option.optional !== 1 && !values.has(name) && !positional.includes(name)) {
      reasons.push(`${name}: property is missing and it is not optional`);
    }
  }
  return reasons;
}

/** Positional words by name; vzdump takes any number of vmids. */
function assignPositional(
  command: string,
  schema: CommandSchema,
  words: readonly string[],
  values: Parameters,
): void {
  if (command === "vzdump") {
    if (words.length > 0) values.set("vmid", words.join(","));
    return;
  }
  const missing = schema.positional.slice(words.length).some((name) => schema.options[name]?.optional !== 1);
  if (missing) throw usageError(command, schema, ["400 not enough arguments"]);
  if (words.length > schema.positional.length) throw usageError(command, schema, ["400 too many arguments"]);
  words.forEach((word, index) => values.set(schema.positional[index]!, word));
}

/** Parses the words after the command's name. `command` is a key of the options table, e.g. `qm start`. */
export function parseArguments(command: string, words: readonly string[], release: string): ParsedArguments {
  const table = loadTable().commands[command];
  if (table === undefined) throw new ToolError(`no such command '${command}'`);
  const schema = schemaOf(table, release);
  const named = new Map([...schema].filter(([name]) => !table.positional.includes(name)));
  const parsed = new Getopt(named, words);
  if (parsed.complaints.length > 0) {
    throw usageError(command, table, [...parsed.complaints, "400 unable to parse option"]);
  }
  const values: Parameters = new Map();
  assignPositional(command, table, parsed.positional, values);
  for (const [name, given] of parsed.options) {
    const option = schema.get(name)!;
    const value = option.type === "boolean" ? parseBoolean(given.at(-1)!) : undefined;
    if (option.type === "boolean" && value === undefined) {
      throw usageError(command, table, ["400 unable to parse boolean option"]);
    }
    values.set(name, value ?? (isList(option) ? given.join(",") : given.at(-1)!));
  }
  const reasons = verify(values, schema, table.positional, release);
  if (reasons.length > 0) {
    throw usageError(command, table, ["400 Parameter verification failed.", ...reasons]);
  }
  return new ParsedArguments(values);
}

/** Whether the options table knows a command such as `qm status` in this release. */
export function isCommand(command: string, release: string): boolean {
  const table = loadTable().commands[command];
  if (table === undefined) return false;
  return [...schemaOf(table, release).keys()].length > 0 || Object.keys(table.options).length === 0;
}

/** The error for a call such as `qm bogus`. */
export function unknownCommand(tool: string, words: readonly string[]): ToolError {
  const called = [tool, ...words.slice(0, 1)].join(" ");
  warn(words.length === 0 ? "ERROR: no command specified" : `ERROR: unknown command '${called}'`);
  return new ToolError(`USAGE: ${tool} <COMMAND> [ARGS] [OPTIONS]`);
}
