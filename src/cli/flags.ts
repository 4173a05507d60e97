import { type Command, Option } from "commander";
import { parse as parseToml, TomlError } from "smol-toml";
import {
  type Door,
  ENVIRONMENT_PREFIX,
  environmentDoor,
  fileDoor,
  flagDoor,
  flagName,
  SECRET_KEYS,
  SECRET_VARIABLES,
} from "../config/doors.ts";
import { OPTION_GROUPS, type OptionSpec, type Side } from "../config/options.ts";
import { messageOf, UserError } from "../core/errors.ts";

/** Heading of each option group in help. */
const HEADINGS: Readonly<Record<string, string>> = {
  select: "Which guests:",
  choose: "Which guests:",
  narrow: "Which archives:",
  dump: "How to back up:",
  guestRestore: "How to restore:",
  testedRestore: "Where to restore:",
  proof: "How to test:",
  work: "Where on the node:",
  temporary: "Where on the node:",
  reach: "Which node, and how to reach it:",
};

/** What `--from` takes, and `--snapshot`, in every command that has them. */
export const FROM_TEXT =
  "directory with backups, one snapshot of it, a directory of vzdump's own archives, or one archive";
export const SNAPSHOT_TEXT = "only this snapshot: its id or the start of it, or latest";

/** Adds every option of a side to a command as a flag, by group. */
export function addTableFlags(command: Command, side: Side): void {
  for (const [group, table] of Object.entries(OPTION_GROUPS[side])) {
    command.optionsGroup(HEADINGS[group] ?? "Options:");
    for (const [key, spec] of Object.entries(table) as [string, OptionSpec][]) addFlag(command, key, spec);
  }
  command.optionsGroup("Options:");
}

function addFlag(command: Command, key: string, spec: OptionSpec): void {
  if (spec.kind.isSecret) {
    // Declared only to be refused with a better word than "unknown".
    command.addOption(
      new Option(`${flagName(key)} [TEXT]`).hideHelp().preset("").argParser(() => refuseSecret(key)),
    );
    return;
  }
  const value = spec.kind.isSwitch ? ` [${spec.kind.placeholder}]` : ` <${spec.kind.placeholder}>`;
  const fallback = spec.default === undefined ? "" : ` (default: ${spec.default})`;
  const option = new Option(flagName(key) + value, spec.text + fallback).argParser(once(flagName(key)));
  command.addOption(spec.kind.isSwitch ? option.preset("true") : option);
}

function refuseSecret(key: string): never {
  throw new UserError(
    "usage",
    `Cannot take ${flagName(key)}: every user of this machine can read command lines`,
    {
      hint: `set ${ENVIRONMENT_PREFIX}${key.toUpperCase()}, or "${key}" in a config file`,
    },
  );
}

/** A parser that refuses `flag` when it is given twice: keeping the last of them silently would hide a mistake. */
export function once(flag: string): (value: string, previous: string | undefined) => string {
  return (value, previous) => {
    if (previous !== undefined) throw new UserError("usage", `Cannot use ${flag} twice`);
    return value;
  };
}

/**
 * Flags, then environment, then config file: the doors of one call, the winning one first. Secrets leave this
 * process' own environment, so that no command we start inherits them. `say` hears of a config file whose secrets
 * others can read.
 */
export async function openDoors(
  side: Side,
  flags: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string>>,
  say: (text: string) => void = () => {},
): Promise<Door[]> {
  for (const name of SECRET_VARIABLES) Deno.env.delete(name);
  const given: Record<string, string> = {};
  for (const table of Object.values(OPTION_GROUPS[side])) {
    for (const key of Object.keys(table)) {
      const value = flags[camelCase(key)];
      if (value !== undefined) given[key] = String(value);
    }
  }
  const doors = [flagDoor(given), environmentDoor(environment)];
  const path = flags.config ?? environment.PLAKAR_PROXMOX_CONFIG;
  return typeof path === "string" ? [...doors, await openFile(path, side, say)] : doors;
}

const camelCase = (key: string): string =>
  key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

async function openFile(path: string, side: Side, say: (text: string) => void): Promise<Door> {
  try {
    const door = fileDoor(path, side, parseToml(await Deno.readTextFile(path)));
    const secret = SECRET_KEYS.find((key) => door.values[key] !== undefined);
    const { mode } = await Deno.stat(path);
    if (secret !== undefined && ((mode ?? 0) & 0o077) !== 0) {
      say(`Others can read "${secret}" in "${path}"; run: chmod 600 ${JSON.stringify(path)}`);
    }
    return door;
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("usage", `Cannot read the config file "${path}": ${problemOf(cause)}`, { cause });
  }
}

/** Without the excerpt of the file that the parser's message ends with. */
function problemOf(cause: unknown): string {
  if (!(cause instanceof TomlError)) return messageOf(cause);
  const [problem = ""] = cause.message.split("\n");
  return `${problem} (line ${cause.line})`;
}
