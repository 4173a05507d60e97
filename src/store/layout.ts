/** Names in a store: `DIR/<snapshot>/{manifest.json, report.json, run.lock, <archive>, <archive>.json}`. */
export const MANIFEST = "manifest.json";
export const REPORT = "report.json";
/** Held (flock) by the run that writes the snapshot, so a free one says that the run is over or dead. */
export const RUN_LOCK = "run.lock";
/** Behind the name of what is not whole yet; behind an archive's own suffix Proxmox takes it for no archive. */
export const PART = ".part";
/** Behind an archive's name: its own record. */
export const RECORD = ".json";

/** `2026-11-23T16-05-19Z-0f3a9c1b`: sorts by time, and stands on any filesystem. */
export function snapshotName(started: Date, runId: string): string {
  return `${started.toISOString().slice(0, 19).replaceAll(":", "-")}Z-${runId.slice(0, 8)}`;
}

/** The start of a snapshot by its name, or `undefined` when the name is none of ours. */
export function parseSnapshotName(name: string): Date | undefined {
  const found = /^(\d{4}-\d{2}-\d{2})T(\d{2})-(\d{2})-(\d{2})Z-[0-9a-z]{4,}$/.exec(name);
  if (!found) return undefined;
  const time = new Date(`${found[1]}T${found[2]}:${found[3]}:${found[4]}Z`);
  return Number.isNaN(time.getTime()) ? undefined : time;
}
