/** What the cluster broadcasts about itself, in the API's shapes. */
import { configEntries, configValue, diskLines, parseSize } from "./config.ts";
import { serviceState } from "./ha.ts";
import type { GuestState, SimState } from "./state.ts";
import { usage } from "./storage.ts";

type Fields = Record<string, unknown>;

/** Without a broadcast (node offline, guest just made) only the fixed facts are known. */
function guestFields(state: SimState, guest: GuestState): Fields {
  const base: Fields = {
    id: `${guest.kind}/${guest.vmid}`,
    vmid: guest.vmid,
    node: guest.node,
    type: guest.kind,
    status: "unknown",
  };
  if (guest.broadcast === false || !state.nodes[guest.node]?.online) return base;
  const entries = configEntries(guest.config);
  const running = guest.status !== "stopped";
  const first = diskLines(guest.kind, guest.config)[0];
  const maxmem = Number(entries.get("memory") ?? 512) * 1024 ** 2;
  return {
    ...base,
    name: entries.get("name") ?? entries.get("hostname") ??
      (guest.kind === "qemu" ? `VM ${guest.vmid}` : `CT${guest.vmid}`),
    status: guest.kind === "qemu" ? guest.status : running ? "running" : "stopped",
    template: entries.get("template") === "1" ? 1 : 0,
    uptime: running ? Math.max(1, Math.floor((Date.now() - (guest.startedAt ?? Date.now())) / 1000)) : 0,
    maxcpu: Number(entries.get("cores") ?? 1),
    cpu: running ? 0.0123456789 : 0,
    maxmem,
    mem: running ? Math.floor(maxmem / 3) : 0,
    maxdisk: parseSize(first?.options.get("size") ?? "0"),
    disk: 0,
    netin: 0,
    netout: 0,
    diskread: 0,
    diskwrite: 0,
    ...(state.release.startsWith("9.") ? { memhost: maxmem } : {}),
  };
}

function guestResource(state: SimState, guest: GuestState): Fields {
  const lock = configValue(guest.config, "lock");
  const tags = configValue(guest.config, "tags");
  const withTags = tags !== undefined && !/^7\.[0-2]$/.test(state.release);
  return {
    ...guestFields(state, guest),
    ...(guest.pool === undefined ? {} : { pool: guest.pool }),
    ...(lock === undefined ? {} : { lock }),
    ...(withTags ? { tags } : {}),
    ...(guest.ha === undefined ? {} : { hastate: serviceState(guest) }),
  };
}

/** Sorted by vmid as text. */
function sortedGuests(state: SimState): GuestState[] {
  return Object.values(state.guests).sort((a, b) => String(a.vmid) < String(b.vmid) ? -1 : 1);
}

function nodeFields(state: SimState, name: string): Fields {
  const node = state.nodes[name]!;
  const base: Fields = {
    node: name,
    id: `node/${name}`,
    type: "node",
    status: node.online ? "online" : "offline",
  };
  if (!node.online) return base;
  const gib = 1024 ** 3;
  return {
    ...base,
    level: "",
    cpu: 0.02,
    maxcpu: 8,
    mem: 4 * gib,
    maxmem: 32 * gib,
    disk: 5 * gib,
    maxdisk: 100 * gib,
    uptime: 86400,
  };
}

export function nodeList(state: SimState): Fields[] {
  return Object.keys(state.nodes).map((name) => ({
    ...nodeFields(state, name),
    ...(state.nodes[name]!.online ? { ssl_fingerprint: "00:11:22:33" } : {}),
  }));
}

/** `/nodes/N/status`, as far as its memory goes (pve-manager's API2/Nodes.pm); since 9.0.0 with `available`. */
export function nodeStatus(state: SimState): Fields {
  const [free, total] = [state.knobs.freeMemory, 32 * 1024 ** 3];
  const available = state.release.startsWith("9.") ? { available: free } : {};
  return { uptime: 86400, memory: { free, total, used: total - free, ...available } };
}

function storageResource(state: SimState, id: string, node: string): Fields {
  const storage = state.storages[id]!;
  const { total, used } = usage(state, id, node);
  const known = storage.active && state.nodes[node]?.online === true;
  return {
    id: `storage/${node}/${id}`,
    storage: id,
    node,
    type: "storage",
    plugintype: storage.type,
    status: known ? "available" : "unknown",
    shared: storage.shared ? 1 : 0,
    content: storage.content,
    ...(known ? { maxdisk: total, disk: used } : {}),
  };
}

/** Storages once per node that has them. */
function storageResources(state: SimState): Fields[] {
  return Object.keys(state.nodes).flatMap((node) =>
    Object.entries(state.storages)
      .filter(([, storage]) => storage.nodes === undefined || storage.nodes.includes(node))
      .map(([id]) => storageResource(state, id, node))
  );
}

export function clusterResources(state: SimState, type: string | undefined): Fields[] {
  const result: Fields[] = [];
  if (type === undefined || type === "vm") {
    result.push(...sortedGuests(state).map((guest) => guestResource(state, guest)));
  }
  if (type === undefined || type === "node") {
    result.push(...Object.keys(state.nodes).map((name) => nodeFields(state, name)));
  }
  if (type === undefined || type === "storage") result.push(...storageResources(state));
  return result;
}

/** Members of this very pool; those of sub-pools are not included. */
export function poolMembers(state: SimState, pool: string, type: string | undefined): Fields[] {
  const guests = sortedGuests(state)
    .filter((guest) => guest.pool === pool && (type === undefined || guest.kind === type))
    .map((guest) => guestFields(state, guest));
  const storages = type === undefined || type === "storage" ? state.pools[pool]?.storages ?? [] : [];
  const node = Object.keys(state.nodes)[0]!;
  return [...guests, ...storages.map((id) => storageResource(state, id, node))];
}

export function clusterStatus(state: SimState, local: string): Fields[] {
  const names = Object.keys(state.nodes);
  const nodes = names.map((name) => {
    const node = state.nodes[name]!;
    const online = node.online ? 1 : 0;
    return {
      type: "node",
      id: `node/${name}`,
      name,
      nodeid: node.nodeid,
      local: name === local ? 1 : 0,
      online,
      ip: node.ip,
      level: "",
    };
  });
  if (state.cluster === null) return nodes;
  const quorate = state.quorate ? 1 : 0;
  return [{
    type: "cluster",
    id: "cluster",
    name: state.cluster,
    nodes: names.length,
    version: names.length,
    quorate,
  }, ...nodes];
}

/** One storage as a node sees it; all sizes are 0 while it is not active. */
export function storageEntry(state: SimState, id: string, node: string): Fields {
  const storage = state.storages[id]!;
  const { total, used, avail } = usage(state, id, node);
  return {
    type: storage.type,
    content: storage.content,
    enabled: storage.enabled ? 1 : 0,
    active: storage.active ? 1 : 0,
    shared: storage.shared ? 1 : 0,
    total,
    used,
    avail,
    ...(total > 0 ? { used_fraction: used / total } : {}),
  };
}
