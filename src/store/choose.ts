import { UserError } from "../core/errors.ts";
import { parseSnapshotName } from "./layout.ts";
import type { ListedArchive, ListedSnapshot, StoreListing } from "./snapshot_reader.ts";

/** Which archives of a store are wanted. */
export interface Wanted {
  /** A listed vmid must be there; of a range, what is there. Absent: every guest. */
  vmids?: { listed: readonly number[]; ranges: readonly { first: number; last: number }[] } | undefined;
  /** Id of a snapshot or its unambiguous start; absent: the newest archive of each guest, wherever it is. */
  snapshot?: string | undefined;
}

/**
 * The newest archive of each wanted guest. Only whole archives stand under their final names, so one of an
 * incomplete snapshot is as good as any.
 *
 * @throws {UserError} of kind `usage` when a wanted guest or snapshot is not there, or when the documents of
 *   the snapshot to take it from are damaged
 */
export function chooseArchives(listing: StoreListing, wanted: Wanted): ListedArchive[] {
  const snapshots = wanted.snapshot === undefined
    ? listing.snapshots
    : [findSnapshot(listing, wanted.snapshot)];
  const plain = wanted.snapshot === undefined ? listing.plain : [];
  const candidates = [...snapshots.flatMap((snapshot) => snapshot.archives), ...plain];

  const newest = new Map<number | string, ListedArchive>();
  for (const archive of candidates) {
    // An archive whose old custom name tells no vmid stands for itself.
    const guest = archive.vmid ?? archive.path;
    const known = newest.get(guest);
    if (!known || time(archive) > time(known)) newest.set(guest, archive);
  }
  const chosen = [...newest.values()].filter((archive) => isWanted(archive, wanted));
  requireListed(listing, wanted, newest);
  if (chosen.length === 0) {
    throw new UserError(
      "usage",
      `Cannot restore from "${listing.path}": it holds no archive of the guests asked for`,
      {
        hint: `see "plakar-proxmox list --from ${listing.path}"`,
      },
    );
  }
  for (const archive of chosen) {
    requireSound(snapshots.find((snapshot) => snapshot.id === archive.snapshot), archive);
  }
  return chosen.sort((a, b) => (a.vmid ?? 0) - (b.vmid ?? 0));
}

/** When the newest whole archive of each guest was taken, by vmid. */
export function newestArchives({ snapshots, plain }: StoreListing): Map<number, Date> {
  const newest = new Map<number, Date>();
  for (const archive of [...snapshots.flatMap((snapshot) => snapshot.archives), ...plain]) {
    if (archive.vmid === undefined) continue;
    const taken = time(archive);
    if (taken > (newest.get(archive.vmid)?.getTime() ?? 0)) newest.set(archive.vmid, new Date(taken));
  }
  return newest;
}

/** Snapshots tell their time in UTC; the local time in an archive's name repeats itself when clocks go back. */
function time({ snapshot, taken }: ListedArchive): number {
  const started = snapshot === undefined ? undefined : parseSnapshotName(snapshot);
  return (started ?? taken)?.getTime() ?? 0;
}

/** Whether an archive is of one of the guests; one that tells no vmid is of none in particular. */
export function isWanted(archive: ListedArchive, { vmids }: Pick<Wanted, "vmids">): boolean {
  const { vmid } = archive;
  if (!vmids) return true;
  if (vmid === undefined) return false;
  return vmids.listed.includes(vmid) || vmids.ranges.some(({ first, last }) => vmid >= first && vmid <= last);
}

function requireListed(
  listing: StoreListing,
  wanted: Wanted,
  newest: Map<number | string, ListedArchive>,
): void {
  const missing = (wanted.vmids?.listed ?? []).filter((vmid) => !newest.has(vmid));
  if (missing.length === 0) return;
  const there = [...newest.keys()].filter((key) => typeof key === "number").sort((a, b) => a - b);
  throw new UserError(
    "usage",
    `Cannot restore ${missing.join(", ")}: "${listing.path}" holds no archive of it`,
    {
      hint: there.length > 0 ? `it holds ${there.join(", ")}` : "it holds no archive that tells its vmid",
    },
  );
}

/** Finds a snapshot by its id or the start of it; `latest` is the newest. */
export function findSnapshot(listing: StoreListing, id: string): ListedSnapshot {
  const found = id === "latest"
    ? listing.snapshots.slice(0, 1)
    : listing.snapshots.filter((snapshot) => snapshot.id.startsWith(id));
  if (found.length === 1) return found[0] as ListedSnapshot;
  throw new UserError(
    "usage",
    `Cannot find snapshot "${id}" in "${listing.path}": ${
      found.length === 0 ? "there is none" : "several match"
    }`,
    { hint: `see "plakar-proxmox list --from ${listing.path}"` },
  );
}

function requireSound(snapshot: ListedSnapshot | undefined, archive: ListedArchive): void {
  if (snapshot?.state !== "damaged") return;
  throw new UserError("usage", `Cannot use snapshot "${snapshot.id}": ${snapshot.damage.join("; ")}`, {
    hint: `name another snapshot with --snapshot, or the archive itself with --from "${archive.path}"`,
  });
}
