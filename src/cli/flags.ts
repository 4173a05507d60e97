import { type Command, Option } from "commander";
import { parse as parseToml, TomlError } from "smol-toml";
import { type Door, environmentDoor, fileDoor, flagDoor, flagName } from "../config/doors.ts";
import { OPTION_GROUPS, type OptionSpec, type Side } from "../config/options.ts";
import { messageOf, UserError } from "../core/errors.ts";

/** Heading of each option group in help. */
const HEADINGS: Readonly<Record<string, string>> = {
  select: "Which guests:",
  choose: "Which guests:",
  narrow: "Which archives:",
  dump: "How to back up:",
  guestRestore: "How to restore:",
  reach: "Where:",
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
  const value = spec.kind.isSwitch ? ` [${spec.kind.placeholder}]` : ` <${spec.kind.placeholder}>`;
  const fallback = spec.default === undefined ? "" : ` (default: ${spec.default})`;
  const option = new Option(flagName(key) + value, spec.text + fallback).argParser(once(flagName(key)));
  command.addOption(spec.kind.isSwitch ? option.preset("true") : option);
}

/** A parser that refuses `flag` when it is given twice: keeping the last of them silently would hide a mistake. */
export function once(flag: string): (value: string, previous: string | undefined) => string {
  return (value, previous) => {
    if (previous !== undefined) throw new UserError("usage", `Cannot use ${flag} twice`);
    return value;
  };
}

/** Flags, then environment, then config file: the doors of one call, the winning one first. */
export async function openDoors(
  side: Side,
  flags: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string>>,
): Promise<Door[]> {
  const given: Record<string, string> = {};
  for (const table of Object.values(OPTION_GROUPS[side])) {
    for (const key of Object.keys(table)) {
      const value = flags[camelCase(key)];
      if (value !== undefined) given[key] = String(value);
    }
  }
  const doors = [flagDoor(given), environmentDoor(environment)];
  const path = flags.config ?? environment.PLAKAR_PROXMOX_CONFIG;
  return typeof path === "string" ? [...doors, await openFile(path, side)] : doors;
}

const camelCase = (key: string): string =>
  key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

async function openFile(path: string, side: Side): Promise<Door> {
  try {
    return fileDoor(path, side, parseToml(await Deno.readTextFile(path)));
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
