/** Archives a container: the real tar with PVE's options, over a snapshot, a copy or the stopped guest. */
import { configValue, type DiskLine, diskLines, isTrue, splitSections, splitVolumeId } from "./config.ts";
import { readState, updateState, type VolumeState } from "./state.ts";
import { storageOf } from "./storage.ts";
import { tarHead } from "./tar_write.ts";
import { beforeFirstByte, type GuestRun, targetOf } from "./vzdump_run.ts";
import { compressorCommand, stream, StreamFailure, type StreamSource } from "./vzdump_stream.ts";
import { Interrupted } from "./worker.ts";

const MINUTE_MS = 60_000;
const SNAPSHOT_MOUNT = "/mnt/vzsnap0";

const TAR_OPTIONS = [
  "--totals",
  "--one-file-system",
  "-p",
  "--sparse",
  "--numeric-owner",
  "--acls",
  "--xattrs",
  "--xattrs-include=user.*",
  "--xattrs-include=security.capability",
  "--warning=no-file-ignored",
  "--warning=no-xattr-write",
];

const STANDARD_EXCLUDES = ["./tmp/?*", "./var/tmp/?*", "./var/run/?*.pid"];

interface MountPoint extends DiskLine {
  /** Path in the container, `/` for rootfs. */
  path: string;
  data: VolumeState;
}

/** Logs what is in and what is not, and answers the volumes to archive. */
function chooseVolumes(run: GuestRun): MountPoint[] {
  const state = readState(run.job.dir);
  const chosen: MountPoint[] = [];
  for (const disk of diskLines("lxc", run.guest.config)) {
    const path = disk.key === "rootfs" ? "/" : disk.options.get("mp") ?? "/";
    const kind = splitVolumeId(disk.volume) ? "volume" : disk.volume.startsWith("/dev/") ? "device" : "bind";
    if (kind !== "volume" || (disk.key !== "rootfs" && !isTrue(disk.options.get("backup")))) {
      const reason = kind === "volume" ? "disabled" : "not a volume";
      run.log.info(`excluding ${kind} mount point ${disk.key} ('${path}') from backup (${reason})`);
      continue;
    }
    const data = state.volumes[disk.volume];
    if (data === undefined) throw new Error(`no such volume '${disk.volume}'`);
    run.log.info(`including mount point ${disk.key} ('${path}') in backup`);
    chosen.push({ ...disk, path, data });
  }
  return chosen;
}

function archivedConfig(config: string): string {
  const lines = splitSections(config).current.split("\n");
  return lines.filter((line) => line !== "" && !/^(lock|parent|snapshot|unused\d+):/.test(line)).join("\n") +
    "\n";
}

function changeGuest(run: GuestRun, change: (guest: { status: string; config: string }) => void): void {
  updateState(run.job.dir, (state) => {
    const guest = state.guests[run.guest.vmid];
    if (guest) change(guest);
  });
}

/** The mode that is possible: snapshots need storages that have them. */
function effectiveMode(run: GuestRun, volumes: readonly MountPoint[]): string {
  if (run.guest.status === "stopped") return "stop";
  if (run.options.mode !== "snapshot") return run.options.mode;
  const state = readState(run.job.dir);
  if (volumes.every((volume) => storageOf(state, volume.volume)?.snapshots)) return "snapshot";
  run.log.info("mode failure - some volumes do not support snapshots");
  run.log.info("trying 'suspend' mode instead");
  return "suspend";
}

/** The first component of `path` that a mapped user cannot pass. Directories above the simulation do not count. */
function closedDirectory(run: GuestRun, path: string): string | undefined {
  const parts = path.split("/");
  for (let count = 2; count <= parts.length; count++) {
    const directory = parts.slice(0, count).join("/");
    if (run.job.dir.startsWith(`${directory}/`)) continue;
    if (((Deno.statSync(directory).mode ?? 0) & 0o001) === 0) return directory;
  }
  return undefined;
}

const isUnprivileged = (run: GuestRun) => isTrue(configValue(run.guest.config, "unprivileged"));

/** The command as error texts show it. */
function commandText(run: GuestRun): string {
  const mapped = isUnprivileged(run) ? "lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- " : "";
  const compressor = compressorCommand(run.options);
  const root = run.options.mode === "snapshot" ? SNAPSHOT_MOUNT : run.tmpdir;
  const tar = `tar cpf - ${TAR_OPTIONS.join(" ")} '--directory=${run.tmpdir}' ./etc/vzdump/pct.conf ` +
    `./etc/vzdump/pct.fw '--directory=${root}' --no-anchored '--exclude=lost+found' --anchored ./`;
  return `set -o pipefail && ${mapped}${tar}${compressor === null ? "" : ` | ${compressor}`}`;
}

/** Copies all volumes into one tree where tar needs them in one; a single rootfs is read in place. */
async function gather(run: GuestRun, volumes: readonly MountPoint[], copy: boolean): Promise<string> {
  if (volumes.length === 1 && !copy) return volumes[0]!.data.path!;
  const root = `${run.tmpdir}/root`;
  for (const volume of volumes) {
    const to = root + volume.path;
    const status = await run.job.shell('mkdir -p "$2" && cp -a "$1/." "$2/"', [volume.data.path!, to]);
    if (!status.success) {
      throw new Error(`command 'rsync --stats -h -X -A --numeric-ids -aH --delete' failed: exit code 11`);
    }
  }
  return root;
}

function tarSource(run: GuestRun, root: string): StreamSource {
  const excludes = run.options.excludePath.map((path) => path.startsWith("/") ? `.${path}` : path);
  const patterns = [...(run.options.stdexcludes ? STANDARD_EXCLUDES : []), ...excludes];
  const parameters = [
    ...TAR_OPTIONS,
    `--directory=${run.tmpdir}`,
    "./etc/vzdump/pct.conf",
    "./etc/vzdump/pct.fw",
    `--directory=${root}`,
    "--no-anchored",
    "--exclude=lost+found",
    "--anchored",
    ...patterns.map((pattern) => `--exclude=${pattern}`),
    "./",
  ];
  return { shell: 'tar cpf - "$@"', parameters };
}

async function chooseSource(
  run: GuestRun,
  volumes: readonly MountPoint[],
  copy: boolean,
): Promise<StreamSource> {
  const config = archivedConfig(run.guest.config);
  const firewall = run.guest.firewall ?? "";
  if (run.faults.wrongKind) return { thread: wrongKindVma(config) };
  if (volumes.some((volume) => volume.data.synthetic)) {
    const members = volumes.map(({ path, data: { size, seed } }) => ({
      name: `.${path}/data.bin`.replace("//", "/"),
      size,
      seed,
    }));
    return { thread: { kind: "tar", head: tarHead(config, firewall), members } };
  }
  await Deno.mkdir(`${run.tmpdir}/etc/vzdump`, { recursive: true });
  await Deno.writeTextFile(`${run.tmpdir}/etc/vzdump/pct.conf`, config);
  await Deno.writeTextFile(`${run.tmpdir}/etc/vzdump/pct.fw`, firewall);
  return tarSource(run, await gather(run, volumes, copy));
}

function wrongKindVma(config: string) {
  const configs = [{ name: "qemu-server.conf", content: new TextEncoder().encode(config) }];
  const spec = { configs, devices: [], uuid: crypto.getRandomValues(new Uint8Array(16)), ctime: 1704164645 };
  return { kind: "vma", spec, order: "sequential" } as const;
}

async function writeArchive(run: GuestRun, volumes: readonly MountPoint[], copy: boolean): Promise<void> {
  await beforeFirstByte(run);
  if (run.faults.emptyStream) return;
  if (isUnprivileged(run)) {
    const closed = closedDirectory(run, run.tmpdir);
    if (closed !== undefined) {
      run.log.info(`tar: ${run.tmpdir}: Cannot open: Permission denied`);
      run.log.info("tar: Error is not recoverable: exiting now");
      throw new Error(`command '${commandText(run)}' failed: exit code 2`);
    }
  }
  try {
    await stream(run.job, run.thread, {
      source: await chooseSource(run, volumes, copy),
      compressor: compressorCommand(run.options),
      target: targetOf(run),
      faults: run.faults,
      bwlimit: run.options.bwlimit,
      fifos: run.tmpdir,
      onLine: (line) => run.log.info(line),
    });
  } catch (error) {
    // A signal that hits the child command is that command's failure, not the job's.
    const reason = error instanceof Interrupted
      ? error.message
      : error instanceof StreamFailure
      ? error.command ?? (error.writer === "Broken pipe" ? "got signal 13" : "exit code 2")
      : undefined;
    if (reason === undefined) throw error;
    throw new Error(`command '${commandText(run)}' failed: ${reason}`);
  }
  if (run.faults.failAfterLastByte) throw new Error(`command '${commandText(run)}' failed: exit code 1`);
}

async function inSnapshot(
  run: GuestRun,
  volumes: readonly MountPoint[],
  archive: () => Promise<void>,
): Promise<void> {
  const { log } = run;
  if (splitSections(run.guest.config).sections.has("vzdump")) {
    log.info("found old vzdump snapshot (force removal)");
    changeGuest(run, dropSnapshot);
  }
  if (readState(run.job.dir).knobs.staleSnapshotMount) {
    throw new Error(`mount point '${SNAPSHOT_MOUNT}' not empty`);
  }
  const several = volumes.length > 1;
  if (several) log.info("suspend vm to make snapshot");
  log.info("create storage snapshot 'vzdump'");
  changeGuest(run, (guest) => guest.config += `\n[vzdump]\n${archivedConfig(run.guest.config)}`);
  if (several) {
    log.info("resume vm");
    log.info("guest is online again after <1 seconds");
  }
  await archive();
}

function dropSnapshot(guest: { config: string }): void {
  const at = guest.config.indexOf("\n[vzdump]\n");
  if (at < 0) return;
  const next = guest.config.indexOf("\n[", at + 2);
  guest.config = guest.config.slice(0, at) + (next < 0 ? "" : guest.config.slice(next));
}

/** The copy goes through the temporary directory, all of it. */
async function suspended(run: GuestRun, archive: () => Promise<void>): Promise<void> {
  const { log } = run;
  log.info(`starting first sync /proc/${Deno.pid}/root/ to ${run.tmpdir}`);
  log.info("first sync finished - transferred all bytes in 1s");
  log.info("suspending guest");
  log.info(`starting final sync /proc/${Deno.pid}/root/ to ${run.tmpdir}`);
  log.info("final sync finished - transferred 0 bytes in 1s");
  log.info("resuming guest");
  log.info("guest is online again after 2 seconds");
  await archive();
}

async function stopped(run: GuestRun, archive: () => Promise<void>): Promise<void> {
  const { log, guest, options, faults } = run;
  if (guest.status === "stopped") return await archive();
  log.info("stopping virtual guest");
  if (faults.ignoreShutdown) {
    await run.job.pause(options.stopwait * MINUTE_MS * readState(run.job.dir).knobs.timeScale);
    throw new Error("container did not stop");
  }
  await run.job.pause(faults.shutdownMs ?? 0);
  changeGuest(run, (changed) => changed.status = "stopped");
  await archive();
}

/** Undoes what the mode did to the guest. */
async function undo(run: GuestRun, mode: string): Promise<void> {
  await run.cleanupStep();
  if (mode === "stop" && run.guest.status !== "stopped") {
    run.log.info("restarting vm");
    changeGuest(run, (guest) => guest.status = "running");
    run.log.info(
      `guest is online again after ${Math.round((Date.now() - run.started.getTime()) / 1000)} seconds`,
    );
  }
  await run.cleanupStep();
  if (mode === "snapshot" && splitSections(currentConfig(run)).sections.has("vzdump")) {
    run.log.info("cleanup temporary 'vzdump' snapshot");
    changeGuest(run, dropSnapshot);
  }
}

function currentConfig(run: GuestRun): string {
  return readState(run.job.dir).guests[run.guest.vmid]?.config ?? "";
}

function describe(run: GuestRun): MountPoint[] {
  run.log.info(`CT Name: ${configValue(run.guest.config, "hostname") ?? `CT${run.guest.vmid}`}`);
  return chooseVolumes(run);
}

/** The whole backup of one container, up to the last byte. */
export async function archiveContainer(run: GuestRun): Promise<void> {
  const { log, options } = run;
  const early = run.guest.status === "stopped" || options.mode !== "snapshot";
  const sayMode = (mode: string) => {
    log.info(`backup mode: ${mode}`);
    if (options.bwlimit > 0) log.info(`bandwidth limit: ${options.bwlimit} KiB/s`);
    log.info(`ionice priority: ${options.ionice}`);
  };
  if (early) sayMode(effectiveMode(run, []));
  const volumes = describe(run);
  const mode = effectiveMode(run, volumes);
  if (!early) sayMode(mode);
  const archive = async () => {
    log.info(options.stdout ? "sending archive to stdout" : `creating vzdump archive '${run.archive}'`);
    await writeArchive(run, volumes, mode === "suspend");
  };
  run.undo = () => undo(run, mode);
  if (mode === "snapshot") await inSnapshot(run, volumes, archive);
  else if (mode === "suspend") await suspended(run, archive);
  else await stopped(run, archive);
}
