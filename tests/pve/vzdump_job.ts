/** The worker of vzdump: the node's lock, one guest after the other, the end of the job. */
import { configValue, withValue } from "./config.ts";
import { appendRecord, atLeast, faultsOf, type GuestState, readState, updateState } from "./state.ts";
import { runHook } from "./vzdump_hook.ts";
import { BackupLog, duration, timestamp } from "./vzdump_log.ts";
import type { BackupOptions } from "./vzdump_options.ts";
import { refuseFullRetention } from "./vzdump_prune.ts";
import { type GuestRun, makeRun, removeTemporaries, storeArchive } from "./vzdump_run.ts";
import { endsAll, type Job } from "./worker.ts";

const MINUTE_MS = 60_000;
const LOCK_NAME = "/var/run/vzdump.lock";

/** Takes the node's flock, so that the death of the process frees it. */
async function takeLock(job: Job, options: BackupOptions, log: BackupLog): Promise<Deno.FsFile> {
  const directory = `${job.dir}/nodes/${job.node}`;
  const file = await Deno.open(`${directory}/vzdump.lock`, { create: true, write: true });
  const limit = Date.now() + options.lockwait * MINUTE_MS * readState(job.dir).knobs.timeScale;
  if (!await file.tryLock(true)) {
    if (options.lockwait > 0) log.task("trying to get global lock - waiting...");
    while (!await file.tryLock(true)) {
      if (Date.now() >= limit) {
        const reason = options.lockwait > 0 ? "got timeout" : "(wait = 0)";
        job.print(`ERROR: can't acquire lock '${LOCK_NAME}' - ${reason}`);
        throw new Error("got unexpected control message:  ");
      }
      await job.pause(Math.min(50, Math.max(1, limit - Date.now())));
    }
    log.task("got global lock");
  }
  await Deno.writeTextFile(`${directory}/vzdump.pid`, String(Deno.pid));
  return file;
}

/** Sets `lock: backup`; refuses a guest that is locked or was destroyed meanwhile. */
function lockGuest(job: Job, guest: GuestState): void {
  updateState(job.dir, (state) => {
    const current = state.guests[guest.vmid];
    if (current === undefined) throw new Error(`unable to find VM '${guest.vmid}'`);
    const label = guest.kind === "qemu" ? "VM" : "CT";
    const lock = configValue(current.config, "lock");
    if (lock !== undefined) throw new Error(`${label} is locked (${lock})`);
    if (!state.quorate) throw new Error("cluster not ready - no quorum?");
    current.config = withValue(current.config, "lock", "backup");
  });
}

function unlockGuest(job: Job, vmid: number): void {
  updateState(job.dir, (state) => {
    const guest = state.guests[vmid];
    if (guest && configValue(guest.config, "lock") === "backup") {
      guest.config = withValue(guest.config, "lock", undefined);
    }
  });
}

/** What happens between the lock and the finished archive. */
async function makeArchive(run: GuestRun): Promise<void> {
  if (run.guest.kind === "qemu") await (await import("./vzdump_vm.ts")).archiveVm(run);
  else await (await import("./vzdump_ct.ts")).archiveContainer(run);
}

function refuseHaStop(job: Job, options: BackupOptions, guest: GuestState): void {
  if (options.mode !== "stop" || guest.ha === undefined || guest.ha === "ignored") return;
  if (readState(job.dir).guests[guest.vmid]?.status === "stopped") return;
  throw new Error(
    "Cannot execute a backup with stop mode on a HA managed and enabled Service. " +
      "Use snapshot mode or disable the Service.",
  );
}

/** One guest from its first log line to the archive at its place; cleans up whatever happens. */
async function backupGuest(run: GuestRun): Promise<void> {
  const { job, log, options, guest } = run;
  let locked = false;
  let failure: unknown;
  try {
    log.info(`Starting Backup of VM ${guest.vmid} (${guest.kind})`);
    log.task(`Backup started at ${timestamp(run.started)}`);
    refuseHaStop(job, options, guest);
    refuseFullRetention(run);
    log.info(`status = ${guest.status === "stopped" ? "stopped" : "running"}`);
    await runHook(run, "backup-start");
    lockGuest(job, guest);
    locked = true;
    await makeArchive(run);
    await storeArchive(run);
    await runHook(run, "backup-end");
  } catch (error) {
    if (endsAll(error)) throw error;
    failure = error;
  }
  await run.undo?.();
  // Each step waits, so that a signal during the cleanup cuts what comes after it.
  await run.cleanupStep();
  if (locked) unlockGuest(job, guest.vmid);
  await run.cleanupStep();
  await removeTemporaries(run);
  if (failure !== undefined) throw failure;
}

/** Backs up one vmid and says how it went. Answers whether it did. */
async function attempt(job: Job, log: BackupLog, options: BackupOptions, vmid: number): Promise<boolean> {
  const started = new Date();
  const state = readState(job.dir);
  const guest = state.guests[vmid];
  let run: GuestRun | undefined;
  let failure: unknown;
  try {
    if (guest === undefined || guest.node !== job.node) throw new Error(`unable to find VM '${vmid}'`);
    run = await makeRun(job, log, options, guest, faultsOf(state, vmid), started);
    await backupGuest(run);
    log.info(`Finished Backup of VM ${vmid} (${duration((Date.now() - started.getTime()) / 1000)})`);
    log.task(`Backup finished at ${timestamp(new Date())}`);
  } catch (error) {
    if (endsAll(error)) throw error;
    failure = error;
    log.error(`Backup of VM ${vmid} failed - ${reasonOf(error)}`);
    log.task(`Failed at ${timestamp(new Date())}`);
    if (run) await runHook(run, "backup-abort");
  }
  if (run) await keepLog(run);
  log.file = undefined;
  // Only this very text ends the whole job; the one of an interrupted child command does not.
  if (failure !== undefined && reasonOf(failure) === "interrupted by signal") throw failure;
  return failure === undefined;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.trimEnd() : String(error);
}

/** The guest's log is copied next to the archive, also when that went to stdout. */
async function keepLog(run: GuestRun): Promise<void> {
  await Deno.copyFile(run.log.file!, `${run.options.dumpdir}/${run.base}.log`);
  await runHook(run, "log-end");
}

function recordNotification(job: Job, options: BackupOptions, success: boolean): void {
  const { release } = readState(job.dir);
  const to = options.mailto;
  const mails = to !== "" && (options.mailnotification === "always" || !success);
  let transport: string | undefined;
  if (!atLeast(release, "8.0")) {
    if (mails) transport = "mail";
  } else if (!atLeast(release, "8.1")) {
    const wanted = options.notificationPolicy === "always" ||
      (options.notificationPolicy === "failure" && !success);
    if (wanted) transport = to === "" ? "notification-system" : "mail";
  } else if (options.notificationMode === "notification-system") {
    transport = "notification-system";
  } else if (to !== "") {
    if (mails) transport = "mail";
  } else if (options.notificationMode === "auto") {
    transport = "notification-system";
  }
  if (transport === undefined) return;
  appendRecord(job.dir, "notifications.jsonl", { node: job.node, transport, to, success });
}

async function backupAll(job: Job, log: BackupLog, options: BackupOptions): Promise<boolean> {
  log.task(`starting new backup job: ${options.command}`);
  if (options.foreign.length > 0) log.task(`skip external VMs: ${options.foreign.join(", ")}`);
  let good = true;
  try {
    await runHook({ job, log, options }, "job-init");
    await runHook({ job, log, options }, "job-start");
    for (const vmid of options.vmids) {
      job.checkpoint();
      if (!await attempt(job, log, options, vmid)) good = false;
    }
    await runHook({ job, log, options }, "job-end");
  } catch (error) {
    if (endsAll(error)) throw error;
    job.print(`ERROR: Backup job failed - ${error instanceof Error ? error.message : error}`);
    await runHook({ job, log, options }, "job-abort");
    recordNotification(job, options, false);
    throw error;
  }
  log.task(good ? "Backup job finished successfully" : "Backup job finished with errors");
  return good;
}

export async function runBackupJob(job: Job): Promise<void> {
  const options = job.file.data as BackupOptions;
  const log = new BackupLog(job);
  let lock: Deno.FsFile;
  try {
    lock = await takeLock(job, options, log);
  } catch (error) {
    if (!endsAll(error)) recordNotification(job, options, false);
    throw error;
  }
  const good = await backupAll(job, log, options);
  recordNotification(job, options, good);
  await Deno.remove(`${job.dir}/nodes/${job.node}/vzdump.pid`).catch(() => {});
  lock.close();
  if (!good) throw new Error("job errors");
}
