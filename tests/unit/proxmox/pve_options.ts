// Judges command lines as the option parsers of the Proxmox VE releases do, by the table of their options.

interface Option {
  type: "string" | "integer" | "number" | "boolean" | "array";
  format?: string;
  enum?: string[];
  minimum?: number | string;
  maximum?: number;
  maxLength?: number;
  optional?: 1;
  /** First and last release that has it: `8.1..9.2`. */
  only?: string;
  requires?: string;
}

interface Table {
  releases: string[];
  commands: Record<string, { positional: string[]; options: Record<string, Option> }>;
}

const TABLE: Table = JSON.parse(
  Deno.readTextFileSync(new URL("../../fixtures/pve-cli-options.json", import.meta.url)),
);

/** All releases of the table, the oldest first. */
export const RELEASES: readonly string[] = TABLE.releases;

const VMID = /^[1-9][0-9]{2,8}$/;
/** The formats in use; one that is not here is a complaint, never a pass. */
const FORMATS: Readonly<Record<string, RegExp>> = {
  "pve-vmid": VMID,
  "pve-vmid-list": /^[1-9][0-9]{2,8}([,; ]+[1-9][0-9]{2,8})*$/,
  "pve-storage-id": /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i,
  "pve-poolid": /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+){0,2}$/,
  "pve-node": /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i,
  "pve-configid": /^[a-z][a-z0-9_-]+$/i,
  "prune-backups": /^keep-(all=[01]|(last|hourly|daily|weekly|monthly|yearly)=\d+)(,keep-\w+=\d+)*$/,
  "backup-fleecing": /^(enabled=)?[01](,storage=[a-z][a-z0-9\-_.]*[a-z0-9])?$/i,
  "property-string": /^[^,=]+(,[a-z_]+=[^,]+)*$/,
  // An empty list is legal.
  "email-or-username-list": /^$|^[^\s,;]+@[^\s,;]+$/,
};

/** What the parser of `release` has against `argv`; empty when it takes it. */
export function complaints(release: string, argv: readonly string[]): string[] {
  const name = Object.keys(TABLE.commands)
    .filter((command) => argv.slice(0, command.split(" ").length).join(" ") === command)
    .toSorted((a, b) => b.length - a.length)[0];
  const command = TABLE.commands[name ?? ""];
  if (name === undefined || !command) return [`no command "${argv.join(" ")}"`];

  const words = argv.slice(name.split(" ").length);
  const firstOption = words.findIndex((word) => word.startsWith("-") && word !== "-");
  const positionals = firstOption < 0 ? words : words.slice(0, firstOption);
  const options = firstOption < 0 ? [] : words.slice(firstOption);
  const found: string[] = [];
  if (positionals.length !== command.positional.length) found.push(`positionals: ${positionals.join(" ")}`);
  command.positional.forEach((key, index) => {
    const option = command.options[key];
    if (option) found.push(...valueComplaints(key, positionals[index] ?? "", option));
  });

  const given = new Set<string>(name === "pct restore" ? ["restore"] : []);
  for (let index = 0; index < options.length; index += 2) {
    const [word = "", value] = options.slice(index, index + 2);
    const key = word.replace(/^--/, "");
    const option = word.startsWith("--") && !command.positional.includes(key)
      ? command.options[key] ?? command.options[key.replace(/\d+$/, "[n]")]
      : undefined;
    if (given.has(key)) found.push(`given twice: ${key}`);
    given.add(key);
    if (!option || !isIn(release, option)) found.push(`Unknown option: ${key}`);
    else if (value === undefined) found.push(`no value: ${key}`);
    else found.push(...valueComplaints(key, value, option));
  }
  for (const key of given) {
    const requires = command.options[key]?.requires;
    if (requires !== undefined && !given.has(requires)) found.push(`${key} requires ${requires}`);
  }
  return found;
}

function isIn(release: string, { only }: Option): boolean {
  if (only === undefined) return true;
  const [first = "", last = ""] = only.split("..");
  const place = RELEASES.indexOf(release);
  return place >= RELEASES.indexOf(first) && place <= RELEASES.indexOf(last);
}

function valueComplaints(key: string, value: string, option: Option): string[] {
  const bad = [`${key}: ${JSON.stringify(value)}`];
  const { type, format, maxLength = Infinity, minimum = -Infinity, maximum = Infinity } = option;
  if (option.enum && !option.enum.includes(value)) return bad;
  if (value.length > maxLength) return bad;
  if (type === "boolean" && !/^(1|0|on|off|yes|no|true|false)$/i.test(value)) return bad;
  if (type === "integer" && !/^-?\d+$/.test(value)) return bad;
  if (type === "number" && !/^-?\d+(\.\d+)?$/.test(value)) return bad;
  if ((type === "integer" || type === "number") && !(Number(value) >= Number(minimum))) return bad;
  if ((type === "integer" || type === "number") && Number(value) > maximum) return bad;
  if (format === undefined) return [];
  const pattern = FORMATS[format];
  if (!pattern) return [`${key}: the checker does not know the format ${format}`];
  return pattern.test(value) ? [] : bad;
}
