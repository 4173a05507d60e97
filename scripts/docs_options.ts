/** The tables of options and flags, from the option table and the declarations of the commands. */
import { Command, type Option } from "commander";
import { declareBackup } from "../src/cli/backup.ts";
import { declareCleanup } from "../src/cli/cleanup.ts";
import { declareDoctor } from "../src/cli/doctor.ts";
import { declareGuests } from "../src/cli/guests.ts";
import { declareInspect } from "../src/cli/inspect.ts";
import { declareList } from "../src/cli/list.ts";
import { declareRestore } from "../src/cli/restore.ts";
import { declareRestoreTest } from "../src/cli/restore_test.ts";
import { declareVerify } from "../src/cli/verify.ts";
import { flagName } from "../src/config/doors.ts";
import { OPTION_GROUPS, OPTIONS, type OptionSpec, type Side } from "../src/config/options.ts";
import { code, plain, table } from "./markdown.ts";

type Group = { [S in Side]: keyof typeof OPTION_GROUPS[S] }[Side] & string;
type OptionBlock =
  | "options-plakar"
  | "options-selection"
  | "options-backup"
  | "options-restore"
  | "options-where";

/** The table that tells a group; the group of `list` and `verify` is told with their other flags. */
const BLOCK_OF: Readonly<Record<Group, OptionBlock | "flags">> = {
  select: "options-selection",
  dump: "options-backup",
  choose: "options-restore",
  guestRestore: "options-restore",
  testedRestore: "options-restore",
  proof: "options-restore",
  work: "options-where",
  temporary: "options-backup",
  reach: "options-where",
  narrow: "flags",
  snapshot: "options-plakar",
  destination: "options-plakar",
};

interface Declared {
  declare: (command: Command) => void;
  /** Absent for a command that takes no options of the table. */
  side?: Side;
}

const COMMANDS: Readonly<Record<string, Declared>> = {
  guests: { declare: declareGuests, side: "guests" },
  backup: { declare: declareBackup, side: "backup" },
  restore: { declare: declareRestore, side: "restore" },
  "restore-test": { declare: declareRestoreTest, side: "restore_test" },
  list: { declare: declareList, side: "store" },
  verify: { declare: declareVerify, side: "store" },
  inspect: { declare: declareInspect },
  doctor: { declare: declareDoctor, side: "doctor" },
  cleanup: { declare: declareCleanup, side: "cleanup" },
};

/** The options that only plakar's sources and destinations take: key, where, values, default, meaning. */
export function plakarTable(): string {
  const sides = [["importer", "source"], ["exporter", "destination"]] as const;
  const rows = Object.entries(optionsOf("options-plakar")).map(([key, spec]) => [
    code(key),
    sides.filter(([side]) => Object.hasOwn(OPTIONS[side], key)).map(([, name]) => name).join(", "),
    valuesText(spec),
    defaultText(spec),
    plain(spec.text),
  ]);
  return table(["key", "of", "values", "default", "meaning"], rows);
}

/** Every option of the block's groups: key, flag (none for a secret), values, default, meaning. */
export function optionTable(block: OptionBlock): string {
  const rows = Object.entries(optionsOf(block)).map(([key, spec]) => [
    code(key),
    spec.kind.isSecret ? "–" : code(flagName(key)),
    valuesText(spec),
    defaultText(spec),
    plain(spec.text),
  ]);
  return table(["key", "flag", "values", "default", "meaning"], rows);
}

function optionsOf(block: OptionBlock): Record<string, OptionSpec> {
  const groups = Object.values(OPTION_GROUPS).flatMap((side) => Object.entries(side));
  const told = groups.filter(([name]) => BLOCK_OF[name as Group] === block).map(([, options]) => options);
  return Object.assign({}, ...told) as Record<string, OptionSpec>;
}

/** A dash: no default of ours. */
function defaultText(spec: OptionSpec): string {
  return spec.default === undefined ? "–" : code(spec.default);
}

/** The words of a closed list, else what the value is. */
function valuesText({ kind }: OptionSpec): string {
  const words = kind.json.enum;
  return Array.isArray(words) ? words.map((word) => code(String(word))).join(", ") : code(kind.placeholder);
}

/** The flags of each command that no option table tells. */
export function flagTable(): string {
  const rows = Object.entries(COMMANDS).flatMap(([name, { declare, side }]) => {
    const command = new Command(name);
    declare(command);
    const told = side === undefined ? new Set<string>() : flagsInTables(side);
    const words = command.registeredArguments
      .map((word) => [code(name), code(word.name()), `${plain(word.description)} (required)`]);
    const flags = command.options.filter(({ long }) => !told.has(long ?? ""))
      .map((option) => [code(name), code(option.flags), meaningOf(option)]);
    return [...words, ...flags];
  });
  return table(["command", "flag", "meaning"], rows);
}

function flagsInTables(side: Side): Set<string> {
  const groups = Object.entries(OPTION_GROUPS[side]).filter(([name]) => BLOCK_OF[name as Group] !== "flags");
  return new Set(groups.flatMap(([, options]) => Object.keys(options).map(flagName)));
}

function meaningOf({ description, mandatory }: Option): string {
  return plain(description) + (mandatory ? " (required)" : "");
}
