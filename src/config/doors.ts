import { closest, distance } from "fastest-levenshtein";
import { UserError } from "../core/errors.ts";
import { OPTIONS, type OptionSpec, type OptionValues, type Side } from "./options.ts";

/** Option values as texts, from one door; `describe` names a key the way that door writes it. */
export interface Door {
  describe(key: string): string;
  values: Readonly<Record<string, string>>;
  /** True where keys of the other side may stand too: the environment and a config file serve all commands. */
  shared: boolean;
}

/** Prefix of our environment variables: `PLAKAR_PROXMOX_BACKUP_MODE` is `backup_mode`. */
export const ENVIRONMENT_PREFIX = "PLAKAR_PROXMOX_";
/** Environment variables that are no options. */
const ENVIRONMENT_OTHERS = new Set(["PLAKAR_PROXMOX_CONFIG"]);

/** Keys of all options that must not be shown. */
export const SECRET_KEYS: readonly string[] = [
  ...new Set(
    Object.values(OPTIONS).flatMap((table) => Object.entries(table) as [string, OptionSpec][])
      .filter(([, { kind }]) => kind.isSecret).map(([key]) => key),
  ),
];

/** Names of the environment variables that hold secrets: no process that we start may inherit them. */
export const SECRET_VARIABLES: readonly string[] = SECRET_KEYS.map((key) =>
  ENVIRONMENT_PREFIX + key.toUpperCase()
);

/** `--backup-mode` for `backup_mode`. */
export const flagName = (key: string): string => `--${key.replaceAll("_", "-")}`;

export function flagDoor(values: Record<string, string>): Door {
  return { describe: flagName, values, shared: false };
}

export function environmentDoor(environment: Readonly<Record<string, string>>): Door {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    // An empty variable is unset: many shells and service files know no other way to unset one.
    if (!name.startsWith(ENVIRONMENT_PREFIX) || ENVIRONMENT_OTHERS.has(name) || value === "") continue;
    values[name.slice(ENVIRONMENT_PREFIX.length).toLowerCase()] = value;
  }
  return { describe: (key) => ENVIRONMENT_PREFIX + key.toUpperCase(), values, shared: true };
}

/**
 * The door of a TOML file: its top-level keys, and over them those of the table named after the command.
 * Arrays are joined with commas.
 */
export function fileDoor(path: string, side: Side, document: Readonly<Record<string, unknown>>): Door {
  const shared = Object.entries(document).filter(([key, value]) =>
    !(Object.hasOwn(OPTIONS, key) && isTable(value))
  );
  const own = isTable(document[side]) ? Object.entries(document[side]) : [];
  const describe = (key: string) => `"${key}" in "${path}"`;
  const stray = own.find(([key]) => !Object.hasOwn(OPTIONS[side], key));
  if (stray) {
    throw new UserError("usage", `Cannot use ${describe(stray[0])}: [${side}] takes options of ${side} only`);
  }
  const texts = [...shared, ...own].map(([key, value]) => {
    const items = Array.isArray(value) ? value : [value];
    if (!items.every((item) => ["string", "number", "bigint", "boolean"].includes(typeof item))) {
      throw new UserError("usage", `Cannot use ${describe(key)}: must be a text, a number or a list of them`);
    }
    return [key, items.join(",")] as const;
  });
  return { describe, values: Object.fromEntries(texts), shared: true };
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** plakar's own way to give options: `key=value`. */
export function plakarDoor(values: Readonly<Record<string, string>>): Door {
  return { describe: (key) => `"${key}"`, values, shared: false };
}

/** "did you mean" for a word that is not in `known`, or nothing when none is near. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const near = closest(word, known);
  return distance(word, near) <= Math.max(2, Math.floor(word.length / 3)) ? near : undefined;
}

/** How people know the sides whose names are no commands. */
export const SIDE_NAMES: Readonly<Partial<Record<string, string>>> = {
  store: "list and verify",
  restore_test: "restore-test",
  importer: "plakar's sources",
  exporter: "plakar's destinations",
};

const PLAKAR_SIDES: readonly Side[] = ["importer", "exporter"];

/** The sides of the same face, our command line or plakar, that have the option. */
function sidesThatKnow(key: string, asked: Side): Side[] {
  const isPlakar = PLAKAR_SIDES.includes(asked);
  return (Object.keys(OPTIONS) as Side[]).filter((side) =>
    PLAKAR_SIDES.includes(side) === isPlakar && Object.hasOwn(OPTIONS[side], key)
  );
}

/** `backup, restore and doctor` */
export function listed(words: readonly string[]): string {
  return [...words.slice(0, -2), words.slice(-2).join(" and ")].join(", ");
}

function refuseUnknown(door: Door, side: Side, key: string): void {
  const sides = sidesThatKnow(key, side);
  if (sides.length > 0) {
    if (door.shared) return;
    throw new UserError(
      "usage",
      `Cannot use ${door.describe(key)} here: it belongs to ${
        listed(sides.map((name) => SIDE_NAMES[name] ?? name))
      }`,
    );
  }
  const known = door.shared
    ? Object.values(OPTIONS).flatMap((table) => Object.keys(table))
    : Object.keys(OPTIONS[side]);
  const near = didYouMean(key, known);
  throw new UserError("usage", `Unknown option ${door.describe(key)}`, {
    hint: near ? `did you mean ${door.describe(near)}?` : 'see "--help" for the options there are',
  });
}

/**
 * Validates what came through the doors, the first door winning over the next, and fills in defaults.
 * `defaults` replaces defaults of the table for one face.
 *
 * @throws {UserError} of kind `usage` naming the option the way its door writes it
 */
export function readOptions<S extends Side>(
  side: S,
  doors: readonly Door[],
  defaults: Readonly<Record<string, string>> = {},
): OptionValues<typeof OPTIONS[S]> {
  for (const door of doors) {
    for (const key of Object.keys(door.values)) {
      if (!Object.hasOwn(OPTIONS[side], key)) refuseUnknown(door, side, key);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(OPTIONS[side]) as [string, OptionSpec][]) {
    const door = doors.find((candidate) => candidate.values[key] !== undefined);
    const text = door?.values[key] ?? defaults[key] ?? spec.default;
    if (text === undefined) continue;
    const read = spec.kind.schema.safeParse(text);
    if (!read.success) {
      const why = read.error.issues[0]?.message ?? "is not valid";
      const name = door?.describe(key) ?? key;
      const shown = JSON.stringify(spec.kind.shown?.(text) ?? text);
      throw new UserError("usage", `Cannot use ${shown} for ${name}: ${why}`);
    }
    values[key] = read.data;
  }
  return values as OptionValues<typeof OPTIONS[S]>;
}
