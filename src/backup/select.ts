import { UserError } from "../core/errors.ts";
import { type Guest, guestLabel } from "../core/guest.ts";

/** Which guests are asked for. One of `vmids`, `pools`, `tags`, `names`, `all` is set. */
export interface Selection {
  vmids?: { listed: readonly number[]; ranges: readonly { first: number; last: number }[] } | undefined;
  pools?: readonly string[] | undefined;
  tags?: readonly string[] | undefined;
  /** Globs: `*` any characters, `?` one. */
  names?: readonly string[] | undefined;
  all?: boolean | undefined;
  /** vmids, ranges, name globs or tags. */
  exclude?: readonly string[] | undefined;
  /** A node's name, or `all`; absent: the entry node, and listed vmids wherever they are. */
  node?: string | undefined;
  kind?: "qemu" | "lxc" | undefined;
  status?: "running" | "stopped" | undefined;
  templates: boolean;
}

/** A guest, or only the vmid of one that was asked for, that will not be backed up. */
export interface NotTaken {
  vmid: number;
  guest?: Guest;
  reason: string;
}

/** What a selection comes to. */
export interface Selected {
  /** To be backed up, of any node, sorted by vmid. */
  guests: Guest[];
  /** Asked for by vmid and not to be had: they count as failed. */
  failed: NotTaken[];
  /** Matched, but on a node that is not selected: left out, and said. */
  leftOut: NotTaken[];
  /** Things worth knowing about the selection. */
  notes: string[];
}

/**
 * Applies a selection to the cluster's guests, entered by the node `here`.
 *
 * @throws {UserError} of kind `usage` when nothing matches
 */
export function selectGuests(inventory: readonly Guest[], selection: Selection, here: string): Selected {
  const narrowed = inventory.filter((guest) => isAskedFor(guest, selection) && isKept(guest, selection));
  const isTaken = (guest: Guest) =>
    selection.node !== undefined || guest.node === here || isListed(guest, selection);
  const guests = narrowed.filter(isTaken);
  const elsewhere = narrowed.filter((guest) => !isTaken(guest));
  const result: Selected = { guests, failed: missing(inventory, selection), leftOut: [], notes: [] };

  if (selection.all && elsewhere.length > 0) {
    const others = count(elsewhere.length, "guest");
    result.notes.push(
      `"all" means the guests of this node, "${here}"; ${others} of other nodes not taken; ${WHOLE_CLUSTER}`,
    );
  } else {
    for (const guest of elsewhere) {
      const reason = `it lives on node "${guest.node}", this is "${here}"; ${WHOLE_CLUSTER}`;
      result.leftOut.push({ vmid: guest.vmid, guest, reason });
    }
  }
  const nameless = inventory.filter((guest) =>
    guest.status === "unknown" && isSelectedNode(guest, selection.node ?? here)
  );
  if (nameless.length > 0 && (selection.names || selection.tags || selection.status)) {
    const vmids = nameless.map((guest) => guest.vmid).join(", ");
    result.notes.push(
      `The cluster knows no name, tags and state of ${vmids} at present; select such guests by vmid`,
    );
  }
  if (guests.length + result.failed.length + result.leftOut.length === 0) {
    throw nothingMatches(inventory, elsewhere);
  }
  return result;
}

/** What to do about guests that were not taken because of where they are. */
const WHOLE_CLUSTER = "pass --node all for the whole cluster";

function isSelectedNode(guest: Guest, node: string): boolean {
  return node === "all" || guest.node === node;
}

function nothingMatches(inventory: readonly Guest[], elsewhere: readonly Guest[]): UserError {
  const hint = elsewhere.length > 0
    ? `the guests that match live on other nodes; ${WHOLE_CLUSTER}`
    : inventory.length === 0
    ? "the cluster has no guests"
    : 'see "plakar-proxmox guests --all" for the guests there are';
  return new UserError("usage", "Cannot select guests: no guest matches the selection", { hint });
}

function missing(inventory: readonly Guest[], selection: Selection): NotTaken[] {
  const known = new Set(inventory.map((guest) => guest.vmid));
  return (selection.vmids?.listed ?? []).filter((vmid) => !known.has(vmid)).map((vmid) => ({
    vmid,
    reason: "no guest has this vmid",
  }));
}

function isListed(guest: Guest, selection: Selection): boolean {
  return selection.vmids?.listed.includes(guest.vmid) ?? false;
}

function isAskedFor(guest: Guest, selection: Selection): boolean {
  const { vmids, pools, tags, names, all } = selection;
  if (vmids) {
    return isListed(guest, selection) ||
      vmids.ranges.some(({ first, last }) => guest.vmid >= first && guest.vmid <= last);
  }
  if (pools) return pools.some((pool) => guest.pool === pool || guest.pool?.startsWith(`${pool}/`));
  if (tags) return tags.some((tag) => guest.tags.includes(tag));
  if (names) return names.some((glob) => matchesName(guest, glob));
  return all === true;
}

function isKept(guest: Guest, selection: Selection): boolean {
  if (selection.kind !== undefined && guest.kind !== selection.kind) return false;
  if (selection.node !== undefined && !isSelectedNode(guest, selection.node)) return false;
  if (selection.status !== undefined && guest.status !== selection.status) return false;
  if (!selection.templates && guest.template) return false;
  return !(selection.exclude ?? []).some((item) => isExcludedBy(guest, item));
}

function isExcludedBy(guest: Guest, item: string): boolean {
  const range = /^(\d+)(?:-(\d+))?$/.exec(item);
  if (range) return guest.vmid >= Number(range[1]) && guest.vmid <= Number(range[2] ?? range[1]);
  return guest.tags.includes(item) || matchesName(guest, item);
}

function matchesName(guest: Guest, glob: string): boolean {
  if (guest.name === undefined) return false;
  const pattern = glob.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${pattern}$`, "su").test(guest.name);
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** Why a guest that was asked for cannot be backed up. */
export function explainFailed(entry: NotTaken): string {
  return `Cannot back up ${labelOf(entry)}: ${entry.reason}`;
}

/** Why a guest that matched is not backed up. */
export function explainLeftOut(entry: NotTaken): string {
  return `${labelOf(entry, "Guest")} is left out: ${entry.reason}`;
}

function labelOf({ guest, vmid }: NotTaken, noun = "guest"): string {
  return guest ? guestLabel(guest) : `${noun} ${vmid}`;
}
