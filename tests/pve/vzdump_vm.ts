/** Archives a VM: QEMU (here a thread) writes the VMA, a stopped VM is started paused for it. */
import {
  configEntries,
  configValue,
  diskLines,
  isCdrom,
  isTrue,
  snapshotNames,
  splitSections,
  splitVolumeId,
} from "./config.ts";
import { readState, type SimState, updateState } from "./state.ts";
import type { VmaDevice, VmaProgress } from "./vma_write.ts";
import { binarySize, shortDuration } from "./vzdump_log.ts";
import { beforeFirstByte, type GuestRun, targetOf } from "./vzdump_run.ts";
import { compressorCommand, stream, StreamFailure, type StreamResult } from "./vzdump_stream.ts";
import { endsAll } from "./worker.ts";

const MINUTE_MS = 60_000;
const encoder = new TextEncoder();

interface BackupDisk {
  key: string;
  storage: string;
  device: VmaDevice;
}

/** Lines of the current section that belong into an archive. */
function archivedConfig(config: string, disks: readonly BackupDisk[]): string {
  const { current } = splitSections(config);
  const lines = current.split("\n").filter((line) =>
    line !== "" && !/^(lock|parent|vmstate|unused\d+):/.test(line)
  );
  for (const disk of disks) lines.push(`#qmdump#map:${disk.key}:${disk.device.name}:${disk.storage}:raw:`);
  return lines.join("\n") + "\n";
}

function deviceName(key: string): string {
  return key === "tpmstate0" ? "drive-tpmstate0-backup" : `drive-${key}`;
}

/** Logs each disk and answers those that are backed up. */
function chooseDisks(run: GuestRun, state: SimState): BackupDisk[] {
  const chosen: BackupDisk[] = [];
  const entries = configEntries(run.guest.config);
  for (const disk of diskLines("qemu", run.guest.config)) {
    const parts = splitVolumeId(disk.volume);
    if (isCdrom(disk) || disk.volume === "none") continue;
    if (disk.options.has("backup") && !isTrue(disk.options.get("backup"))) {
      run.log.info(`exclude disk '${disk.key}' '${disk.volume}' (backup=no)`);
      continue;
    }
    if (disk.key === "efidisk0" && entries.get("bios") !== "ovmf") {
      run.log.info(`excluding '${disk.key}' (efidisks can only be backed up when BIOS is set to 'ovmf')`);
      continue;
    }
    const volume = state.volumes[disk.volume];
    if (parts === undefined || volume === undefined) throw new Error(`no such volume '${disk.volume}'`);
    run.log.info(`include disk '${disk.key}' '${disk.volume}' ${disk.options.get("size") ?? ""}`.trimEnd());
    chosen.push({
      key: disk.key,
      storage: parts.storage,
      device: { name: deviceName(disk.key), disk: volume },
    });
  }
  return chosen;
}

function setStatus(run: GuestRun, status: string): void {
  updateState(run.job.dir, (state) => {
    const guest = state.guests[run.guest.vmid];
    if (guest) guest.status = status;
  });
}

function statusNow(run: GuestRun): string {
  return readState(run.job.dir).guests[run.guest.vmid]?.status ?? "stopped";
}

/** Orders a shutdown and waits for it, at most `stopwait` minutes. */
async function shutDown(run: GuestRun): Promise<void> {
  run.log.info("stopping virtual guest");
  const limit = run.options.stopwait * MINUTE_MS * readState(run.job.dir).knobs.timeScale;
  if (run.faults.ignoreShutdown) {
    await run.job.pause(limit);
    throw new Error(
      `command 'qm shutdown ${run.guest.vmid} --skiplock --keepActive --timeout ${
        run.options.stopwait * 60
      }' failed: exit code 255`,
    );
  }
  await run.job.pause(run.faults.shutdownMs ?? 0);
  setStatus(run, "stopped");
}

/** The mode that is possible: a stopped VM is always done in mode stop. */
function effectiveMode(run: GuestRun): string {
  return run.guest.status === "stopped" ? "stop" : run.options.mode;
}

function sayMode(run: GuestRun): void {
  const { log, options } = run;
  log.info(`backup mode: ${effectiveMode(run)}`);
  if (options.bwlimit > 0) log.info(`bandwidth limit: ${options.bwlimit} KiB/s`);
  log.info(`ionice priority: ${options.ionice}`);
}

/** Brings a running VM into the state in which its mode takes it. */
async function prepare(run: GuestRun): Promise<void> {
  if (run.guest.status === "stopped") return;
  if (effectiveMode(run) === "stop") await shutDown(run);
  if (effectiveMode(run) !== "suspend") return;
  run.log.info("suspending guest");
  setStatus(run, "paused");
}

function progressLine(progress: VmaProgress, before: VmaProgress, seconds: number, step: number): string {
  const percent = Math.floor(progress.read * 100 / Math.max(1, progress.total));
  const rate = (bytes: number) => `${binarySize(bytes / Math.max(step, 0.001))}/s`;
  const read = progress.read - before.read;
  const written = read - (progress.zero - before.zero);
  return `${String(percent).padStart(3)}% (${binarySize(progress.read)} of ${
    binarySize(progress.total)
  }) in ` +
    `${shortDuration(seconds)}, read: ${rate(read)}, write: ${rate(written)}`;
}

/** Prints progress lines at most every `interval` milliseconds. */
function progressPrinter(run: GuestRun, interval: number): (progress: VmaProgress, last?: boolean) => void {
  const started = performance.now();
  let printed = started;
  let before: VmaProgress = { read: 0, zero: 0, total: 0 };
  return (progress, last = false) => {
    const now = performance.now();
    if (!last && now - printed < interval) return;
    run.log.info(progressLine(progress, before, (now - started) / 1000, (now - printed) / 1000));
    printed = now;
    before = { ...progress };
  };
}

async function writeArchive(run: GuestRun, disks: readonly BackupDisk[]): Promise<StreamResult> {
  const { knobs } = readState(run.job.dir);
  const uuid = crypto.getRandomValues(new Uint8Array(16));
  const configs = [{
    name: "qemu-server.conf",
    content: encoder.encode(archivedConfig(run.guest.config, disks)),
  }];
  const { firewall } = run.guest;
  if (firewall !== undefined) configs.push({ name: "qemu-server.fw", content: encoder.encode(firewall) });
  const spec = {
    configs,
    devices: disks.map((disk) => disk.device),
    uuid,
    ctime: Math.floor(Date.now() / 1000),
  };
  const print = progressPrinter(run, knobs.progressMs);
  const result = await stream(run.job, run.thread, {
    source: run.faults.wrongKind
      ? { thread: (await import("./tar_write.ts")).wrongKindTar(run.guest.vmid) }
      : { thread: { kind: "vma", spec, order: knobs.clusterOrder } },
    compressor: compressorCommand(run.options),
    target: targetOf(run),
    faults: run.faults,
    bwlimit: run.options.bwlimit,
    fifos: run.tmpdir,
    onLine: (line) => run.log.info(line),
    onProgress: print,
  });
  if (result.progress && result.progress.total > 0) print(result.progress, true);
  return result;
}

/** Bytes to stdout or the partial file, with the log lines around them. */
async function runBackupTask(run: GuestRun, disks: readonly BackupDisk[]): Promise<void> {
  const { log, guest } = run;
  const running = guest.status !== "stopped";
  if (running && isTrue(configValue(guest.config, "agent")?.split(",")[0]?.replace(/^enabled=/, ""))) {
    log.info("issuing guest-agent 'fs-freeze' command");
    log.info("issuing guest-agent 'fs-thaw' command");
  }
  log.info("starting backup via QMP command");
  log.info(`started backup task '${crypto.randomUUID()}'`);
  if (running) {
    const paused = run.options.mode !== "snapshot";
    if (paused) setStatus(run, "running");
    const seconds = Math.round((Date.now() - run.started.getTime()) / 1000);
    log.info(
      run.options.mode === "stop" ? `resuming VM again after ${seconds} seconds` : "resuming VM again",
    );
  }
  await beforeFirstByte(run);
  if (run.faults.emptyStream) return;
  const started = performance.now();
  const { progress } = await writeArchive(run, disks);
  if (run.faults.failAfterLastByte) throw new Error("job failed with err -5 - Input/output error");
  if (progress === undefined || progress.total === 0) return;
  const seconds = Math.max(1, Math.round((performance.now() - started) / 1000));
  if (progress.zero > 0) {
    const percent = Math.floor(progress.zero * 100 / progress.total);
    log.info(`backup is sparse: ${binarySize(progress.zero, 2)} (${percent}%) total zero data`);
  }
  log.info(
    `transferred ${binarySize(progress.total, 2)} in ${seconds} seconds (${
      binarySize(progress.total / seconds)
    }/s)`,
  );
}

/** What went wrong, in QEMU's words. */
function failureText(error: unknown): string {
  if (error instanceof StreamFailure && error.writer !== undefined) {
    return `vma_queue_write: write error - ${error.writer}`;
  }
  return error instanceof Error ? error.message : String(error);
}

async function logFailure(run: GuestRun, error: unknown): Promise<Error> {
  const { log } = run;
  const text = failureText(error);
  log.error(text);
  await run.cleanupStep();
  log.info("aborting backup job");
  if (error instanceof StreamFailure && error.command !== undefined) {
    const status = error.command.replace(/^(exit code|got signal)/, "exit status");
    log.info(`${compressorCommand(run.options)} failed - wrong ${status}`);
  }
  await run.cleanupStep();
  if (run.guest.status !== "stopped") log.info("resuming VM again");
  if (run.guest.status !== "stopped" && statusNow(run) !== "stopped") setStatus(run, "running");
  return new Error(text);
}

/** Stops the QEMU process that was only started for the backup, unless somebody resumed the VM meanwhile. */
function stopKvm(run: GuestRun): void {
  if (run.guest.status !== "stopped" || statusNow(run) !== "prelaunch") return;
  run.log.info("stopping kvm after backup task");
  setStatus(run, "stopped");
}

function sayLeftOut(run: GuestRun): void {
  const { log, guest } = run;
  for (const [key, value] of configEntries(guest.config)) {
    if (/^unused\d+$/.test(key)) log.info(`skip unused drive '${value}' (not included into backup)`);
  }
  if (snapshotNames(guest.config).length > 0) log.info("snapshots found (not included into backup)");
  if (splitSections(guest.config).sections.has("PENDING")) {
    log.info("pending configuration changes found (not included into backup)");
  }
}

async function archiveDiskless(run: GuestRun): Promise<void> {
  run.log.info("backup contains no disks");
  run.log.info("starting diskless backup");
  await beforeFirstByte(run);
  if (!run.faults.emptyStream) await writeArchive(run, []);
  if (run.faults.failAfterLastByte) throw new Error("command '/usr/bin/vma create' failed: exit code 1");
}

/** The whole backup of one VM, up to the last byte. */
export async function archiveVm(run: GuestRun): Promise<void> {
  const { log, guest, options } = run;
  const early = effectiveMode(run) !== "snapshot";
  if (early) sayMode(run);
  log.info(`VM Name: ${configValue(guest.config, "name") ?? `VM ${guest.vmid}`}`);
  const disks = chooseDisks(run, readState(run.job.dir));
  if (!early) sayMode(run);
  await prepare(run);
  sayLeftOut(run);
  log.info(options.stdout ? "sending archive to stdout" : `creating vzdump archive '${run.archive}'`);
  if (disks.length === 0) return await archiveDiskless(run);
  try {
    if (statusNow(run) === "stopped") {
      log.info("starting kvm to execute backup task");
      setStatus(run, "prelaunch");
    }
    await runBackupTask(run, disks);
  } catch (error) {
    if (endsAll(error)) throw error;
    const failure = await logFailure(run, error);
    stopKvm(run);
    throw failure;
  }
  stopKvm(run);
}
