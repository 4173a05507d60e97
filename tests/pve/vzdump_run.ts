/** One guest's backup in progress: its names, its temporary files, and what happens to a good archive. */
import { configEntries } from "./config.ts";
import type { Faults, GuestState } from "./state.ts";
import { readState } from "./state.ts";
import { archiveSize, type BackupLog, nameStamp } from "./vzdump_log.ts";
import type { BackupOptions } from "./vzdump_options.ts";
import { pruneArchives } from "./vzdump_prune.ts";
import { ArchiveThread } from "./vzdump_stream.ts";
import type { Job } from "./worker.ts";

export interface GuestRun {
  job: Job;
  log: BackupLog;
  options: BackupOptions;
  guest: GuestState;
  faults: Faults;
  started: Date;
  /** `vzdump-qemu-101-2025_01_31-12_00_00`. */
  base: string;
  /** Final path of the archive. */
  archive: string;
  /** The file while it is written: the last extension replaced by `.dat`. */
  partial: string;
  tmpdir: string;
  thread: ArchiveThread;
  /** What the mode did to the guest is undone at the very end. */
  undo?: () => Promise<void>;
  cleanupStep(): Promise<void>;
}

const EXTENSIONS: Readonly<Record<string, string>> = { "1": ".lzo", lzo: ".lzo", gzip: ".gz", zstd: ".zst" };
const CLEANUP_STEPS = 4;

export async function makeRun(
  job: Job,
  log: BackupLog,
  options: BackupOptions,
  guest: GuestState,
  faults: Faults,
  started: Date,
): Promise<GuestRun> {
  const base = `vzdump-${guest.kind}-${guest.vmid}-${nameStamp(started)}`;
  const archive = `${options.dumpdir}/${base}.${guest.kind === "qemu" ? "vma" : "tar"}${
    EXTENSIONS[options.compress] ?? ""
  }`;
  const logs = `${job.dir}/nodes/${job.node}/log/vzdump`;
  await Deno.mkdir(logs, { recursive: true });
  log.file = `${logs}/${guest.kind}-${guest.vmid}.log`;
  await Deno.writeTextFile(log.file, "");
  const tmpdir = options.tmpdir === undefined
    ? `${options.dumpdir}/${base}.tmp`
    : `${options.tmpdir}/vzdumptmp${Deno.pid}_${guest.vmid}`;
  await Deno.mkdir(tmpdir, { recursive: true });
  return {
    job,
    log,
    options,
    guest,
    faults,
    started,
    base,
    archive,
    partial: archive.replace(/\.[^./]+$/, ".dat"),
    tmpdir,
    thread: new ArchiveThread(),
    cleanupStep: () => job.cleanupStep((faults.cleanupSeconds ?? 0) * 1000 / CLEANUP_STEPS),
  };
}

/** `-` or the partial file. */
export function targetOf(run: GuestRun): string {
  return run.options.stdout ? "-" : run.partial;
}

const encoder = new TextEncoder();

function logNoise(run: GuestRun): void {
  const { hugeLogBytes, binaryLog, logLineBytes } = run.faults;
  const line = encoder.encode("INFO: " + "noise ".repeat(170) + "\n");
  for (let printed = 0; printed < (hugeLogBytes ?? 0); printed += line.length) run.job.printRaw(line);
  if (logLineBytes) {
    run.job.printRaw(encoder.encode("INFO: "));
    const piece = encoder.encode("word ".repeat(10_000));
    for (let left = logLineBytes; left > 0; left -= piece.length) run.job.printRaw(piece.subarray(0, left));
    run.job.printRaw(encoder.encode("\n"));
  }
  if (binaryLog) run.job.printRaw(Uint8Array.from({ length: 70_000 }, (_, index) => 128 + index * 7 % 128));
}

/** Faults that strike before the first byte. */
export async function beforeFirstByte(run: GuestRun): Promise<void> {
  logNoise(run);
  if (run.faults.warning !== undefined) run.log.warn(run.faults.warning);
  if (run.faults.delayMs) await run.job.pause(run.faults.delayMs);
  if (run.faults.failAtStart !== undefined) throw new Error(run.faults.failAtStart);
}

/** The text of a notes template for a guest. */
function notesText(run: GuestRun, template: string): string {
  const entries = configEntries(run.guest.config);
  const values: Record<string, string> = {
    cluster: readState(run.job.dir).cluster ?? "standalone node",
    guestname: entries.get("name") ?? entries.get("hostname") ?? `VM ${run.guest.vmid}`,
    node: run.job.node,
    vmid: String(run.guest.vmid),
  };
  return template.replaceAll("\\n", "\n").replaceAll(
    /\{\{(\w+)\}\}/g,
    (all, name: string) => values[name] ?? all,
  );
}

/** A good archive in a file: rename, size, notes, protection, pruning. Nothing of it for stdout. */
export async function storeArchive(run: GuestRun): Promise<void> {
  const { options, log, archive } = run;
  if (options.stdout) return;
  await Deno.rename(run.partial, archive);
  log.info(`archive file size: ${archiveSize((await Deno.stat(archive)).size)}`);
  if (options.notes !== undefined) {
    log.info("adding notes to backup");
    await Deno.writeTextFile(`${archive}.notes`, notesText(run, options.notes));
  }
  if (options.protected) {
    log.info("marking backup as protected");
    await Deno.writeTextFile(`${archive}.protected`, "");
  }
  if (options.remove) pruneArchives(run);
}

export async function removeTemporaries(run: GuestRun): Promise<void> {
  run.thread.stop();
  for (const path of [run.tmpdir, run.partial]) await Deno.remove(path, { recursive: true }).catch(() => {});
}
