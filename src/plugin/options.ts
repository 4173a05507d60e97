import { plakarDoor, readOptions } from "../config/doors.ts";
import type { ExporterOptions, ImporterOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";

type PlakarConfig = Readonly<Record<string, string>>;

/** Defaults that differ from those of the command line. */
export const PLAKAR_DEFAULTS = {
  /** Only uncompressed dumps can plakar deduplicate. */
  importer: { backup_compression: "0" },
  /** Restoring a guest over itself is what plakar's users expect; over another one it is not. */
  exporter: { if_exists: "replace-same" },
} as const;

/** Other names that options of the exporter are known by: the option each sets, for `true` and for `false`. */
export const KNOWN_NAMES = {
  start_on_restore: { key: "start", true: "always", false: "never" },
  force_vm_restore: { key: "if_exists", true: "replace-same", false: "replace-stopped" },
} as const;

/** The importer's options. */
export function importerOptions(config: PlakarConfig): ImporterOptions {
  const options = readOptions("importer", [plakarDoor(config)], PLAKAR_DEFAULTS.importer);
  requireThisNode(options);
  return options;
}

/** The exporter's options. */
export function exporterOptions(config: PlakarConfig): ExporterOptions {
  const options = readOptions("exporter", [plakarDoor(withKnownNames(config))], PLAKAR_DEFAULTS.exporter);
  requireThisNode(options);
  return options;
}

/** `config` with the known names put into today's; where both are given, today's win. */
function withKnownNames(config: PlakarConfig): PlakarConfig {
  const meant: Record<string, string> = {};
  const others: Record<string, string> = { ...config };
  for (const [name, { key, ...values }] of Object.entries(KNOWN_NAMES)) {
    const value = config[name];
    if (value === undefined) continue;
    meant[key] = values[isYes(name, value) ? "true" : "false"];
    delete others[name];
  }
  return { ...meant, ...others };
}

function isYes(key: string, value: string): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new UserError("usage", `Cannot use "${value}" for "${key}": must be true or false`);
}

/** Host and scheme of a location such as `proxmox://root@pve1:22`; user and port do not name the machine. */
export function hostOf(location: string): string {
  const found = /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?(\[[^\]]+\]|[^:/]*)(?::\d+)?\/*$/i.exec(location);
  if (!found) {
    throw new UserError("usage", `Cannot understand the location "${location}"`, {
      hint: 'write "proxmox://" for this node',
    });
  }
  return (found[1] ?? "").replace(/^\[|\]$/g, "").toLowerCase();
}

function requireThisNode({ location, mode }: { location: string; mode: "auto" | "local" }): void {
  const host = hostOf(location);
  if (mode === "local" || host === "" || ownNames().has(host)) return;
  throw new UserError("usage", `Cannot reach "${host}": only the node that this runs on can be used yet`, {
    hint: 'run plakar on the node with the location "proxmox://", or pass mode=local',
  });
}

/** Names and addresses by which this machine can be meant. */
function ownNames(): Set<string> {
  const hostname = Deno.hostname().toLowerCase();
  const addresses = Deno.networkInterfaces().map(({ address }) => address.toLowerCase());
  return new Set(["localhost", hostname, hostname.replace(/\..*$/, ""), ...addresses]);
}

/** What names the source of a backup: it must stay the same from run to run, for plakar to find the parent snapshot. */
export function originOf(location: string): string {
  const host = hostOf(location);
  return host === "" || host === "localhost" ? Deno.hostname().replace(/\..*$/, "") : host;
}
