/** What a vzdump run does: the command line, filled up from vzdump.conf, checked as VZDump.pm does. */
import type { ParsedArguments } from "./args.ts";
import { type Context, ToolError } from "./context.ts";
import { hasContent, isFileBased } from "./storage.ts";

/** Settings of one vzdump run, handed to the worker. */
export interface BackupOptions {
  vmids: number[];
  /** Guests of other nodes that were asked for too. */
  foreign: number[];
  mode: "snapshot" | "suspend" | "stop";
  compress: string;
  dumpdir: string;
  storage?: string;
  stdout: boolean;
  bwlimit: number;
  ionice: number;
  tmpdir?: string;
  /** Minutes. */
  lockwait: number;
  stopwait: number;
  script?: string;
  notes?: string;
  protected: boolean;
  /** Retention such as `keep-last=3`. */
  prune: string;
  remove: boolean;
  zstd: number;
  pigz: number;
  stdexcludes: boolean;
  excludePath: string[];
  mailto: string;
  mailnotification: string;
  notificationMode: string;
  notificationPolicy: string;
  /** The command as the log's first line shows it. */
  command: string;
}

const COMMANDS = ["cp", "df", "sendmail", "rsync", "tar", "mount", "umount", "cstream", "ionice"];
const SNAPSHOT_COMMANDS = ["lvcreate", "lvs", "lvremove"];

/** `key: value` lines of vzdump.conf; `exclude-path` may stand there several times. */
function readConf(context: Context): Map<string, string> {
  const values = new Map<string, string>();
  for (const path of [`${context.dir}/nodes/${context.node}/vzdump.conf`, `${context.dir}/vzdump.conf`]) {
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch {
      continue;
    }
    for (const line of text.split("\n")) {
      const match = /^\s*([a-z-]+)\s*:\s*(.*?)\s*$/.exec(line);
      if (!match) continue;
      const [, key = "", value = ""] = match;
      const before = key === "exclude-path" ? values.get(key) : undefined;
      values.set(key, before === undefined ? value : `${before} ${value}`);
    }
    break;
  }
  return values;
}

/** Command line first, then vzdump.conf. */
class Settings {
  constructor(readonly parsed: ParsedArguments, readonly conf: ReadonlyMap<string, string>) {}

  text(name: string): string | undefined {
    return this.parsed.text(name) ?? this.conf.get(name);
  }

  number(name: string, fallback: number): number {
    const value = this.text(name);
    return value === undefined ? fallback : Number(value);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.text(name);
    return value === undefined ? fallback : /^(1|on|yes|true)$/i.test(value);
  }
}

function requireCommands(context: Context, parsed: ParsedArguments): void {
  const needed = [...COMMANDS, ...(parsed.text("mode") === "snapshot" ? SNAPSHOT_COMMANDS : [])];
  const missing = needed.find((name) => context.state.knobs.missingCommands.includes(name));
  if (missing !== undefined) throw new ToolError(`unable to find command '${missing}'`);
}

/** Backup directory of a storage. Its errors name the storage. */
function storageDirectory(context: Context, id: string): string {
  const storage = context.state.storages[id];
  const refuse = (reason: string) =>
    new ToolError(`could not get storage information for '${id}': ${reason}`);
  if (storage === undefined) throw refuse(`storage '${id}' does not exist`);
  if (!storage.enabled) throw refuse(`storage '${id}' is disabled`);
  if (storage.nodes && !storage.nodes.includes(context.node)) {
    throw refuse(`storage '${id}' is not available on node '${context.node}'`);
  }
  if (!hasContent(storage, "backup") || !isFileBased(storage)) {
    throw refuse(`can't use storage '${id}' for backups - wrong content type`);
  }
  if (!storage.active) {
    const reason = storage.type === "dir"
      ? `unable to activate storage '${id}' - directory '${storage.path}' does not exist or is unreachable`
      : `storage '${id}' is not online`;
    throw new ToolError(`could not activate storage '${id}': ${reason}`);
  }
  return `${storage.path}/dump`;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Where dumps go. Storage and dumpdir exclude each other; neither means storage `local`. */
function target(context: Context, settings: Settings): { dumpdir: string; storage?: string } {
  const { parsed, conf } = settings;
  const given = parsed.text("dumpdir");
  // A dumpdir on the command line hides the configured storage, and the other way round.
  const storage = parsed.text("storage") ?? (given === undefined ? conf.get("storage") : undefined);
  const dumpdir = given ?? (storage === undefined ? conf.get("dumpdir") : undefined);
  if (storage !== undefined && parsed.flag("stdout")) {
    throw new ToolError("cannot use options 'storage' and 'stdout' at the same time");
  }
  if (storage !== undefined && dumpdir !== undefined) {
    throw new ToolError("cannot use options 'storage' and 'dumpdir' at the same time");
  }
  if (dumpdir !== undefined) {
    const path = dumpdir.length > 1 ? dumpdir.replace(/\/+$/, "") : dumpdir;
    if (!isDirectory(path)) throw new ToolError(`dumpdir '${path}' does not exist`);
    return { dumpdir: path };
  }
  const id = storage ?? "local";
  return { dumpdir: storageDirectory(context, id), storage: id };
}

function checkScript(path: string | undefined): void {
  if (path === undefined) return;
  let mode: number | null;
  try {
    mode = Deno.statSync(path).mode;
  } catch {
    throw new ToolError(`Error: The hook script '${path}' does not exist.`);
  }
  if (((mode ?? 0) & 0o111) === 0) throw new ToolError(`Error: The hook script '${path}' is not executable.`);
}

/** The log's `starting new backup job:` text: stdout is left out, the order is not that of the call. */
function commandText(parsed: ParsedArguments): string {
  const words = ["vzdump"];
  if (parsed.text("vmid") !== undefined) words.push(...parsed.text("vmid")!.split(/[,;\s]+/));
  for (const [name, value] of [...parsed.values].sort()) {
    if (name === "vmid" || name === "stdout") continue;
    words.push(`--${name}`, /^[\w./:=,@-]+$/.test(value) ? value : `'${value}'`);
  }
  return words.join(" ");
}

/** All settings; throws what the real program dies of before it forks its worker. */
export function backupOptions(
  context: Context,
  parsed: ParsedArguments,
  vmids: { local: number[]; foreign: number[] },
): BackupOptions {
  requireCommands(context, parsed);
  const settings = new Settings(parsed, readConf(context));
  checkScript(settings.text("script"));
  const place = target(context, settings);
  const tmpdir = settings.text("tmpdir");
  if (tmpdir !== undefined && !isDirectory(tmpdir)) throw new ToolError(`tmpdir '${tmpdir}' does not exist`);
  const ownRetention = place.storage === undefined ? undefined : context.state.storages[place.storage]!.prune;
  const storage = parsed.flag("stdout") ? undefined : place.storage;
  const script = settings.text("script");
  const notes = settings.text("notes-template");
  return {
    vmids: vmids.local,
    foreign: vmids.foreign,
    mode: (settings.text("mode") ?? "snapshot") as BackupOptions["mode"],
    compress: settings.text("compress") ?? "0",
    dumpdir: place.dumpdir,
    ...(storage === undefined ? {} : { storage }),
    stdout: parsed.flag("stdout"),
    bwlimit: settings.number("bwlimit", 0),
    ionice: settings.number("ionice", 7),
    ...(tmpdir === undefined ? {} : { tmpdir }),
    lockwait: settings.number("lockwait", 180),
    stopwait: settings.number("stopwait", 10),
    ...(script === undefined ? {} : { script }),
    ...(notes === undefined ? {} : { notes }),
    protected: settings.flag("protected", false),
    prune: parsed.text("prune-backups") ?? ownRetention ?? settings.text("prune-backups") ?? "keep-all=1",
    remove: settings.flag("remove", true),
    zstd: settings.number("zstd", 1),
    pigz: settings.number("pigz", 0),
    stdexcludes: settings.flag("stdexcludes", true),
    excludePath: (settings.text("exclude-path") ?? "").split(/[\s,\0]+/).filter((path) => path !== ""),
    mailto: settings.text("mailto") ?? "",
    mailnotification: settings.text("mailnotification") ?? "always",
    notificationMode: settings.text("notification-mode") ?? "auto",
    notificationPolicy: settings.text("notification-policy") ?? "always",
    command: commandText(parsed),
  };
}
