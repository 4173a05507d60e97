import { type Door, plakarDoor, readOptions } from "../config/doors.ts";
import type { ExporterOptions, ImporterOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import { TEST_SETTINGS } from "../setup/test_settings.ts";

type PlakarConfig = Readonly<Record<string, string>>;

/** Defaults that differ from those of the command line. */
export const PLAKAR_DEFAULTS = {
  /** Only uncompressed dumps can plakar deduplicate. */
  importer: { backup_compression: "0" },
  /** Restoring a guest over itself is what plakar's users expect; over another one it is not. */
  exporter: { if_exists: "replace-same" },
} as const;

/** What another name of an option sets. */
export interface KnownName {
  key: string;
  /** The option's word for each word of this name, `undefined` where it says nothing; absent: all are the same. */
  values?: Readonly<Record<string, string | undefined>>;
}

/** Names of plakar's own sftp integration. */
const SFTP_NAMES = {
  username: { key: "conn_username" },
  port: { key: "conn_port" },
  identity: { key: "conn_identity_file" },
  insecure_ignore_host_key: { key: "host_key_check", values: { true: "off", false: undefined } },
} as const satisfies Record<string, KnownName>;

/** Other names that options are known by. */
export const KNOWN_NAMES = {
  importer: SFTP_NAMES,
  exporter: {
    ...SFTP_NAMES,
    start_on_restore: { key: "start", values: { true: "always", false: "never" } },
    force_vm_restore: { key: "if_exists", values: { true: "replace-same", false: "replace-stopped" } },
  },
} as const satisfies Record<string, Record<string, KnownName>>;

/** The importer's options. */
export function importerOptions(config: PlakarConfig): ImporterOptions {
  return readOptions("importer", doorsOf("importer", config), PLAKAR_DEFAULTS.importer);
}

/** The exporter's options, and whether somebody asked for what its default for `if_exists` allows. */
export interface GivenExporterOptions extends ExporterOptions {
  isIfExistsGiven: boolean;
}

/** The exporter's options. */
export function exporterOptions(config: PlakarConfig): GivenExporterOptions {
  const doors = doorsOf("exporter", config);
  return optionsInForce({
    ...readOptions("exporter", doors, PLAKAR_DEFAULTS.exporter),
    isIfExistsGiven: doors.some(({ values }) => values.if_exists !== undefined),
  });
}

/**
 * The options as they are in force: with `restore_test` every archive goes to a free vmid, whole before it is restored.
 *
 * @throws {UserError} of kind `usage` for an option that says where else it goes
 */
function optionsInForce(options: GivenExporterOptions): GivenExporterOptions {
  if (!options.restore_test) return options;
  for (const key of ["newid", "newid_offset"] as const) {
    if (options[key] === undefined || options[key] === "next") continue;
    throw new UserError("usage", `Cannot use ${key} with restore_test`, {
      hint: "a test takes a free vmid, and gives it back",
    });
  }
  if (options.restore_to === "files") {
    throw new UserError("usage", "Cannot use restore_to=files with restore_test", {
      hint: "give one of them",
    });
  }
  return { ...options, ...TEST_SETTINGS, newid: "next" };
}

/** Options by today's names, which win, and by the other known ones. */
function doorsOf(side: keyof typeof KNOWN_NAMES, config: PlakarConfig): Door[] {
  const values: Record<string, string> = {};
  const names: Record<string, string> = {};
  const others: Record<string, string> = { ...config };
  for (const [name, { key, values: words }] of Object.entries<KnownName>(KNOWN_NAMES[side])) {
    const given = config[name];
    if (given === undefined) continue;
    delete others[name];
    const value = words ? wordFor(name, given, words) : given;
    if (value === undefined) continue;
    values[key] = value;
    names[key] = name;
  }
  return [plakarDoor(others), { describe: (key) => `"${names[key]}"`, values, shared: false }];
}

function wordFor(name: string, value: string, words: NonNullable<KnownName["values"]>): string | undefined {
  if (Object.hasOwn(words, value)) return words[value];
  const known = Object.keys(words).join(" or ");
  throw new UserError("usage", `Cannot use ${JSON.stringify(value)} for "${name}": must be ${known}`);
}
