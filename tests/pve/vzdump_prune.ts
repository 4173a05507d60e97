/** Retention as vzdump applies it: standard names only, protected archives stay. */
import type { GuestRun } from "./vzdump_run.ts";

const ARCHIVE =
  /^(vzdump-(?:qemu|lxc)-(\d+)-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d))\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)$/;

interface Found {
  name: string;
  stem: string;
  time: Date;
  protected: boolean;
}

/** The guest's archives in the dump directory, newest first. */
function existing(run: GuestRun): Found[] {
  const names = new Set([...Deno.readDirSync(run.options.dumpdir)].map((entry) => entry.name));
  const found: Found[] = [];
  for (const name of names) {
    const match = ARCHIVE.exec(name);
    if (!match || Number(match[2]) !== run.guest.vmid || !name.startsWith(`vzdump-${run.guest.kind}-`)) {
      continue;
    }
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match.slice(3, 9).map(Number);
    const time = new Date(year, month - 1, day, hour, minute, second);
    found.push({ name, stem: match[1]!, time, protected: names.has(`${name}.protected`) });
  }
  return found.sort((a, b) => b.time.getTime() - a.time.getTime());
}

function retention(text: string): Map<string, number> {
  const entries = text.split(",").map((part) => part.split("=") as [string, string]);
  return new Map(entries.map(([key, value]) => [key.trim().replace(/^keep-/, ""), Number(value)]));
}

/** Start of the ISO week, for `keep-weekly`. */
function weekOf(time: Date): string {
  const monday = new Date(time.getFullYear(), time.getMonth(), time.getDate() - (time.getDay() + 6) % 7);
  return monday.toDateString();
}

const PERIODS: Readonly<Record<string, (time: Date) => string>> = {
  hourly: (time) => `${time.toDateString()} ${time.getHours()}`,
  daily: (time) => time.toDateString(),
  weekly: weekOf,
  monthly: (time) => `${time.getFullYear()}-${time.getMonth()}`,
  yearly: (time) => String(time.getFullYear()),
};

/** Names to keep: the last N, then the newest of each further period. */
function kept(archives: readonly Found[], keep: ReadonlyMap<string, number>): Set<string> {
  const names = new Set(archives.slice(0, keep.get("last") ?? 0).map((archive) => archive.name));
  for (const [kind, periodOf] of Object.entries(PERIODS)) {
    const covered = new Set(
      archives.filter((archive) => names.has(archive.name)).map((found) => periodOf(found.time)),
    );
    let left = keep.get(kind) ?? 0;
    for (const archive of archives) {
      const period = periodOf(archive.time);
      if (left === 0 || covered.has(period)) continue;
      covered.add(period);
      names.add(archive.name);
      left--;
    }
  }
  return names;
}

/** Removes what the retention does not cover, with `.notes` and `.log`. */
export function pruneArchives(run: GuestRun): void {
  const { options, log } = run;
  const keep = retention(options.prune);
  if ((keep.get("all") ?? 0) > 0 || keep.size === 0) return;
  log.info(`prune older backups with retention: ${options.prune}`);
  const archives = existing(run).filter((archive) => !archive.protected);
  const names = kept(archives, keep);
  const removed = archives.filter((archive) => !names.has(archive.name));
  for (const { name, stem } of removed) {
    for (const path of [name, `${name}.notes`, `${stem}.log`]) {
      try {
        Deno.removeSync(`${options.dumpdir}/${path}`);
      } catch {
        // Not every archive has notes and a log.
      }
    }
  }
  log.info(`pruned ${removed.length} backup(s) not covered by keep-retention policy`);
}

/** With `--remove 0` a full retention refuses the backup. */
export function refuseFullRetention(run: GuestRun): void {
  const { options } = run;
  const keep = retention(options.prune);
  if (options.remove || options.stdout || (keep.get("all") ?? 0) > 0) return;
  const limit = [...keep.values()].reduce((sum, count) => sum + count, 0);
  const count = existing(run).filter((archive) => !archive.protected).length;
  if (limit === 0 || count < limit) return;
  throw new Error(
    `There is a max backup limit of ${limit} enforced by the target storage or the vzdump parameters. ` +
      "Either increase the limit or delete old backups.",
  );
}
