/** `pvesh get PATH` and `pvesh set PATH`: the calls that the tests' programs make, on real API paths only. */
import { configEntries, snapshotNames, splitSections, withPending } from "./config.ts";
import { type Context, print, ToolError, warn } from "./context.ts";
import {
  clusterResources,
  clusterStatus,
  nodeList,
  nodeStatus,
  poolMembers,
  storageEntry,
} from "./pvesh_data.ts";
import { haResource, haResources, setHaResource } from "./pvesh_ha.ts";
import { machineTypes } from "./pvesh_machines.ts";
import { atLeast } from "./state.ts";

type Json = unknown;

/** Options a path takes, besides those of pvesh itself. */
interface Endpoint {
  /** Default `get`. */
  verb?: string;
  pattern: RegExp;
  options?: readonly string[];
  /** Release from which the options exist. */
  optionsSince?: string;
  get(context: Context, parts: string[], options: ReadonlyMap<string, string>): Json;
}

const OWN_OPTIONS = ["output-format", "human-readable", "noproxy", "quiet", "noborder", "noheader"];

function unknownPath(verb: string, path: string): ToolError {
  return new ToolError(`No '${verb}' handler defined for '${path}'`, 1);
}

function parameterError(reason: string): ToolError {
  return new ToolError(`400 Parameter verification failed.\n${reason}\npvesh get <api_path> [OPTIONS]`);
}

/** The node in a path; another node's path is proxied, which fails when that node is down. */
function checkNode(context: Context, name: string): void {
  const node = context.state.nodes[name];
  if (node === undefined) {
    throw new ToolError(
      `proxy handler failed: hostname lookup '${name}' failed - failed to get address info for: ${name}`,
    );
  }
  if (!node.online && name !== context.node) {
    throw new ToolError(`proxy handler failed: ssh: connect to host ${node.ip} port 22: No route to host`);
  }
}

/** JSON types are a mix on a real node: plain numbers become numbers, some of them stay strings. */
function mixedValue(key: string, value: string): string | number {
  const staysText = ["cores", "tags", "name", "hostname", "description"].includes(key);
  return /^\d+$/.test(value) && !staysText && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function guestConfig(context: Context, parts: string[], options: ReadonlyMap<string, string>): Json {
  const [node = "", kind = "", id = ""] = parts;
  checkNode(context, node);
  const guest = context.state.guests[id];
  if (guest === undefined || guest.kind !== kind || guest.node !== node) {
    const directory = kind === "qemu" ? "qemu-server" : "lxc";
    throw new ToolError(`Configuration file 'nodes/${node}/${directory}/${id}.conf' does not exist`, 2);
  }
  const current = /^(1|on|yes|true|)$/.test(options.get("current") ?? "0");
  const result: Record<string, Json> = { digest: "6b8b4567327b23c6643c98696633487374b0dc51" };
  const raw: [string, string][] = [];
  for (const [key, value] of configEntries(current ? guest.config : withPending(guest.config))) {
    if (key.startsWith("lxc.")) raw.push([key, value]);
    else result[key] = mixedValue(key, value);
  }
  if (raw.length > 0) result.lxc = raw;
  return result;
}

function snapshots(context: Context, [node = "", kind = "", id = ""]: string[]): Json {
  checkNode(context, node);
  const guest = context.state.guests[id];
  if (guest === undefined || guest.kind !== kind || guest.node !== node) {
    throw new ToolError(
      `Configuration file 'nodes/${node}/${
        kind === "qemu" ? "qemu-server" : kind
      }/${id}.conf' does not exist`,
      2,
    );
  }
  const list: Json[] = snapshotNames(guest.config).map((name) => {
    const entries = configEntries(guest.config, name);
    const parent = entries.get("parent");
    const snaptime = Number(entries.get("snaptime") ?? 1704164645);
    return { name, description: "", snaptime, ...(parent === undefined ? {} : { parent }) };
  });
  const parent = configEntries(splitSections(guest.config).current).get("parent");
  list.push({
    name: "current",
    description: "You are here!",
    digest: "",
    running: guest.status === "stopped" ? 0 : 1,
    ...(parent ? { parent } : {}),
  });
  return list;
}

function guestStatus(context: Context, [node = "", kind = "", id = ""]: string[]): Json {
  checkNode(context, node);
  const guest = context.state.guests[id];
  if (guest === undefined || guest.kind !== kind || guest.node !== node) {
    throw new ToolError(
      `Configuration file 'nodes/${node}/${
        kind === "qemu" ? "qemu-server" : kind
      }/${id}.conf' does not exist`,
      2,
    );
  }
  const entries = configEntries(guest.config);
  const lock = entries.get("lock");
  return {
    vmid: guest.vmid,
    name: entries.get("name") ?? entries.get("hostname"),
    status: guest.status === "stopped" ? "stopped" : "running",
    ha: guest.ha === undefined ? { managed: 0 } : { managed: 1, state: guest.ha },
    ...(kind === "qemu" ? { qmpstatus: guest.status } : { type: "lxc" }),
    ...(lock === undefined ? {} : { lock }),
  };
}

function nodeStorages(context: Context, [node = ""]: string[], options: ReadonlyMap<string, string>): Json {
  checkNode(context, node);
  const only = options.get("storage");
  if (only !== undefined && context.state.storages[only] === undefined) {
    throw parameterError("storage: No such storage.");
  }
  const list = Object.entries(context.state.storages)
    .filter(([id, storage]) =>
      (only === undefined || id === only) &&
      (storage.nodes === undefined || storage.nodes.includes(node)) &&
      (options.get("enabled") !== "1" || storage.enabled) &&
      (!options.has("content") ||
        options.get("content")!.split(",").some((type) => storage.content.split(",").includes(type)))
    );
  return list.map(([id]) => ({ storage: id, ...storageEntry(context.state, id, node) }));
}

function storageStatus(context: Context, [node = "", id = ""]: string[]): Json {
  checkNode(context, node);
  if (context.state.storages[id] === undefined) throw parameterError("storage: No such storage.");
  return storageEntry(context.state, id, node);
}

function poolList(context: Context, _parts: string[], options: ReadonlyMap<string, string>): Json {
  const { pools } = context.state;
  const describe = (id: string) => ({
    poolid: id,
    ...(pools[id]!.comment ? { comment: pools[id]!.comment } : {}),
  });
  const wanted = options.get("poolid");
  if (wanted === undefined) return Object.keys(pools).sort().map(describe);
  if (pools[wanted] === undefined) throw new ToolError(`pool '${wanted}' does not exist`);
  return [{ ...describe(wanted), members: poolMembers(context.state, wanted, options.get("type")) }];
}

function onePool(context: Context, [id = ""]: string[], options: ReadonlyMap<string, string>): Json {
  const pool = context.state.pools[id];
  if (pool === undefined) throw new ToolError(`pool '${id}' does not exist`);
  return {
    members: poolMembers(context.state, id, options.get("type")),
    ...(pool.comment ? { comment: pool.comment } : {}),
    ...(atLeast(context.state.release, "8.1") ? { poolid: id } : {}),
  };
}

function nextId(context: Context, options: ReadonlyMap<string, string>): Json {
  const wanted = options.get("vmid");
  const guests = context.state.guests;
  if (wanted !== undefined) {
    if (guests[wanted] !== undefined) throw parameterError(`vmid: VM ${wanted} already exists`);
    return wanted;
  }
  let id = 100;
  while (guests[id] !== undefined) id++;
  return String(id);
}

function version(context: Context): Json {
  const { release } = context.state;
  const full = release.startsWith("7.") ? `${release}-3` : `${release}.1`;
  return { release, repoid: "2a5fa54a8503f96d", version: full };
}

function storageConfiguration(context: Context): Json {
  return Object.entries(context.state.storages).map(([storage, state]) => ({
    storage,
    type: state.type,
    content: state.content,
    digest: "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ...(state.path ? { path: state.path } : {}),
    ...(state.shared ? { shared: 1 } : {}),
    ...(state.enabled ? {} : { disable: 1 }),
    ...(state.nodes ? { nodes: state.nodes.join(",") } : {}),
    ...(state.prune ? { "prune-backups": state.prune } : {}),
  }));
}

const GUEST = "\\/nodes\\/([^/]+)\\/(qemu|lxc)\\/(\\d+)";
const children = (...names: string[]) => names.map((name) => ({ name, subdir: name }));

const ENDPOINTS: readonly Endpoint[] = [
  {
    pattern: /^\/?$/,
    get: () => ["access", "cluster", "nodes", "pools", "storage", "version"].map((subdir) => ({ subdir })),
  },
  { pattern: /^\/version$/, get: version },
  {
    pattern: /^\/cluster\/resources$/,
    options: ["type"],
    get: (context, _parts, options) => clusterResources(context.state, options.get("type")),
  },
  { pattern: /^\/cluster\/status$/, get: (context) => clusterStatus(context.state, context.node) },
  {
    pattern: /^\/cluster\/nextid$/,
    options: ["vmid"],
    get: (context, _parts, options) => nextId(context, options),
  },
  { pattern: /^\/nodes$/, get: (context) => nodeList(context.state) },
  {
    pattern: /^\/nodes\/([^/]+)$/,
    get: (context, [node = ""]) => (checkNode(context, node), children("lxc", "qemu", "storage")),
  },
  {
    pattern: /^\/nodes\/([^/]+)\/storage$/,
    options: ["content", "enabled", "storage", "target", "format"],
    get: nodeStorages,
  },
  { pattern: /^\/nodes\/([^/]+)\/storage\/([^/]+)\/status$/, get: storageStatus },
  {
    pattern: /^\/nodes\/([^/]+)\/status$/,
    get: (context, [node = ""]) => (checkNode(context, node), nodeStatus(context.state)),
  },
  { pattern: new RegExp(`^${GUEST}\\/config$`), options: ["current", "snapshot"], get: guestConfig },
  { pattern: new RegExp(`^${GUEST}\\/snapshot$`), get: snapshots },
  { pattern: new RegExp(`^${GUEST}\\/status\\/current$`), get: guestStatus },
  { pattern: /^\/pools$/, options: ["poolid", "type"], optionsSince: "8.1", get: poolList },
  { pattern: /^\/pools\/([^/]+)$/, options: ["type"], get: onePool },
  { pattern: /^\/storage$/, options: ["type"], get: storageConfiguration },
  { pattern: /^\/cluster\/ha\/resources$/, options: ["type"], get: haResources },
  { pattern: /^\/cluster\/ha\/resources\/([^/]+)$/, get: haResource },
  {
    verb: "set",
    pattern: /^\/cluster\/ha\/resources\/([^/]+)$/,
    options: ["state", "comment", "digest", "group", "max_relocate", "max_restart"],
    get: setHaResource,
  },
  { pattern: /^\/nodes\/([^/]+)\/capabilities\/qemu\/machines$/, get: machineTypes },
];

/** Options behind the path; a value may follow with or without `=`. */
function parseOptions(words: readonly string[], known: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  const queue = [...words];
  while (queue.length > 0) {
    const word = queue.shift()!;
    const match = /^--?([a-z-]+)(?:=(.*))?$/.exec(word);
    if (!match) throw new ToolError("400 too many arguments\npvesh get <api_path> [OPTIONS]");
    const [, name = "", inline] = match;
    if (!known.includes(name)) {
      warn(`Unknown option: ${name}`);
      throw new ToolError("400 unable to parse option\npvesh get <api_path> [OPTIONS]");
    }
    const flag = ["noproxy", "quiet", "noborder", "noheader", "current", "enabled", "human-readable"]
      .includes(name);
    const next = queue[0];
    const value = inline ?? (flag && (next === undefined || next.startsWith("--")) ? "1" : queue.shift());
    if (value === undefined) {
      throw new ToolError(`Option ${name} requires an argument\n400 unable to parse option`);
    }
    options.set(name, value);
  }
  return options;
}

/** JSON with sorted keys on one line. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) =>
    a < b ? -1 : 1
  );
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/** Only `json` and `json-pretty` are JSON; the default is text for people. */
function rendered(result: Json, format: string): string {
  if (format === "json") return canonical(result);
  if (format === "json-pretty") return JSON.stringify(result, null, 3);
  const rows = Array.isArray(result) ? result : [result];
  return rows.map((row) =>
    typeof row === "object" ? Object.entries(row).map(([key, value]) => `${key}: ${value}`).join("\n") : row
  ).join("\n--\n");
}

export function pvesh(context: Context): number {
  const [verb = "", path = "", ...words] = context.argv;
  if (!["get", "ls", "set"].includes(verb)) {
    throw new ToolError(`ERROR: unknown command 'pvesh ${verb}'\nUSAGE: pvesh <COMMAND> [ARGS] [OPTIONS]`);
  }
  if (path === "") throw new ToolError("400 not enough arguments\npvesh get <api_path> [OPTIONS]");
  const method = verb === "ls" ? "get" : verb;
  const endpoint = ENDPOINTS.find((candidate) =>
    (candidate.verb ?? "get") === method && candidate.pattern.test(path)
  );
  if (endpoint === undefined) throw unknownPath(method, path);
  const extra = endpoint.optionsSince !== undefined && !atLeast(context.state.release, endpoint.optionsSince)
    ? []
    : endpoint.options ?? [];
  const options = parseOptions(words, [...OWN_OPTIONS, ...extra]);
  const format = options.get("output-format") ?? "text";
  if (!["text", "json", "json-pretty", "yaml"].includes(format)) {
    throw parameterError(
      `output-format: value '${format}' does not have a value in the enumeration 'text, json, json-pretty, yaml'`,
    );
  }
  const result = endpoint.get(context, endpoint.pattern.exec(path)!.slice(1), options);
  if (!options.has("quiet") && result !== undefined) print(rendered(result, format));
  return 0;
}
