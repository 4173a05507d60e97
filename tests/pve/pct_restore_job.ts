/** The worker of pct restore: new volumes first, then the old container goes, then the archive is unpacked. */
import { archiveFile } from "./archive_path.ts";
import {
  configEntries,
  configValue,
  diskLines,
  formatSize,
  isTrue,
  parseDisk,
  parseSize,
  splitSections,
  splitVolumeId,
  withValue,
} from "./config.ts";
import { renewUnique } from "./identity.ts";
import { type ContainerRestore, newVolume } from "./pct_restore.ts";
import { faultsOf, readState, updateState } from "./state.ts";
import { allocateVolume, freeVolume } from "./storage.ts";
import { RestoreThread } from "./vma_extract.ts";
import { describeStatus, type Job } from "./worker.ts";

/** A volume of the new container. */
interface NewVolume {
  key: string;
  /** Path in the container. */
  path: string;
  storage: string;
  size: number;
  /** Options of the line behind the volume id, `size` excluded. */
  options: string;
  id: string;
}

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

const TAR_FLAGS: Readonly<Record<string, string>> = {
  gz: "-z",
  bz2: "-j",
  xz: "-J",
  lzo: "--lzop",
  zst: "--zstd",
};

/** tar's flag for a file name; the content does not matter. */
function compressionFlag(path: string): string[] {
  const match = /\.tar(?:\.([^.]+))?$/.exec(path);
  if (!match) throw new Error(`file does not look like a template archive: ${path}`);
  if (match[1] === undefined) return [];
  const flag = TAR_FLAGS[match[1]];
  if (flag === undefined) throw new Error(`unrecognized compression format: .${match[1]}`);
  return [flag];
}

class ContainerRestoration {
  readonly #created: NewVolume[] = [];
  #firewall: string | undefined;
  /** The old container is gone, or there was none. */
  destroyed: boolean;

  constructor(readonly job: Job, readonly data: ContainerRestore) {
    this.destroyed = !data.overwrite;
  }

  async #fault(at: "before-destroy" | "after-destroy"): Promise<void> {
    const faults = faultsOf(readState(this.job.dir), this.data.vmid);
    if (faults.restoreHangs === at) await this.job.pause(2 ** 31 - 1);
    if (at === "after-destroy" && faults.restoreMs) await this.job.pause(faults.restoreMs);
    const reason = at === "before-destroy"
      ? faults.restoreFailsBeforeDestroy
      : faults.restoreFailsAfterDestroy;
    if (reason !== undefined) throw new Error(reason);
  }

  async run(): Promise<void> {
    const { archive, config } = this.data;
    const file = archive === "-" ? undefined : this.#resolve(archive);
    const recovered = file === undefined ? undefined : await this.#recoverConfig(file);
    const volumes = this.#planVolumes(recovered);
    await this.#fault("before-destroy");
    this.#allocate(volumes);
    this.#destroyOld();
    await this.#fault("after-destroy");
    const unprivileged = config.unprivileged ?? (recovered && configValue(recovered, "unprivileged")) ?? "0";
    const archived = await this.#extract(file, unprivileged === "1");
    this.job.print("merging backed-up and given configuration..");
    this.#writeConfig(archived, unprivileged === "1", file !== undefined);
  }

  /** The path is only looked at here, when the configuration is locked already. */
  #resolve(archive: string): string {
    const state = readState(this.job.dir);
    const context = { dir: this.job.dir, node: this.job.node, tool: "pct", argv: [], state };
    return archiveFile(context, archive);
  }

  async #recoverConfig(file: string): Promise<string> {
    this.job.print(`recovering backed-up configuration from '${this.data.archive}'`);
    const child = this.job.spawn(["tar", "-xOf", file, "--occurrence=1", "./etc/vzdump/pct.conf"], {
      stdout: "piped",
      stderr: "null",
    });
    const { stdout } = await this.job.wait(child.output());
    if (stdout.length === 0) throw new Error("ERROR: archive contains no configuration file");
    return new TextDecoder().decode(stdout);
  }

  /** Advanced mode: only what was given. Simple mode: everything the backed-up configuration names. */
  #planVolumes(recovered: string | undefined): NewVolume[] {
    const given = Object.entries(this.data.volumes);
    if (given.length > 0) return given.map(([key, value]) => this.#given(key, value));
    const volumes: NewVolume[] = [];
    for (const disk of diskLines("lxc", recovered ?? "")) {
      if (disk.key !== "rootfs" && !splitVolumeId(disk.volume)) continue;
      const size = parseSize(disk.options.get("size") ?? "4G");
      const path = disk.key === "rootfs" ? "/" : disk.options.get("mp") ?? "/";
      volumes.push({
        key: disk.key,
        path,
        storage: this.data.storage,
        size,
        options: optionText(disk.options),
        id: "",
      });
    }
    if (volumes.length === 0) throw new Error("no mount points configured, but 'rootfs' not set - aborting");
    return volumes;
  }

  #given(key: string, value: string): NewVolume {
    const wanted = newVolume(value, this.data.storage);
    if (wanted === undefined) throw new Error(`unable to parse volume of '${key}': ${value}`);
    const { options } = parseDisk(key, value);
    const path = key === "rootfs" ? "/" : options.get("mp") ?? "/";
    return { key, path, ...wanted, options: optionText(options), id: "" };
  }

  #allocate(volumes: readonly NewVolume[]): void {
    for (const volume of volumes) {
      const { storage, size } = volume;
      const request = { storage, vmid: this.data.vmid, kind: "lxc" as const, size };
      volume.id = updateState(this.job.dir, (state) => allocateVolume(state, this.job.dir, request));
      this.#created.push(volume);
      this.job.print(`Creating filesystem with ${Math.floor(size / 4096)} 4k blocks`);
    }
  }

  /** All its volumes, also those that the archive does not hold. */
  #destroyOld(): void {
    updateState(this.job.dir, (state) => {
      const guest = state.guests[this.data.vmid]!;
      for (const disk of diskLines("lxc", guest.config, true)) freeVolume(state, disk.volume);
      guest.config = "lock: create\n";
    });
    this.destroyed = true;
  }

  /** Unpacks and answers the archive's own configuration. */
  async #extract(file: string | undefined, unprivileged: boolean): Promise<string> {
    const shown = file === undefined ? "-" : this.data.archive;
    this.job.print(`restoring '${shown}' now..`);
    this.job.print(file === undefined ? "extracting archive from STDIN" : `extracting archive '${file}'`);
    const rootfs = this.#created.find((volume) => volume.key === "rootfs")!;
    const { path } = readState(this.job.dir).volumes[rootfs.id]!;
    if (path === undefined) return await this.#verify(file);
    const flags = file === undefined ? [] : compressionFlag(file);
    const words = ["tar", "xpf", file ?? "-", ...flags, ...TAR_OPTIONS, "-C", path];
    const argv = [...words, "--skip-old-files", "--anchored", "--exclude", "./dev/*"];
    const status = await this.job.wait(this.job.spawn(argv, { stdin: "inherit", stdout: "null" }).status);
    if (!status.success && !this.data.ignoreErrors) {
      const mapped = unprivileged ? "lxc-usernsexec -m u:0:100000:65536 -m g:0:100000:65536 -- " : "";
      throw new Error(`command '${mapped}${argv.join(" ")}' failed: ${describeStatus(status)}`);
    }
    return this.#distribute(path);
  }

  /** Takes the configuration out of the tree and moves what lies below mount points to their volumes. */
  #distribute(root: string): string {
    const config = readOptional(`${root}/etc/vzdump/pct.conf`);
    this.#firewall = readOptional(`${root}/etc/vzdump/pct.fw`);
    removeTree(`${root}/etc/vzdump`);
    const { volumes } = readState(this.job.dir);
    const deepest = this.#created.filter((volume) => volume.key !== "rootfs").sort((a, b) =>
      b.path.length - a.path.length
    );
    for (const volume of deepest) {
      const target = volumes[volume.id]?.path;
      const source = root + volume.path;
      Deno.mkdirSync(source, { recursive: true });
      if (target === undefined) continue;
      removeTree(target);
      Deno.renameSync(source, target);
      Deno.mkdirSync(source);
    }
    return config ?? "";
  }

  /** A discarding storage compares generated data instead of keeping it. */
  async #verify(file: string | undefined): Promise<string> {
    let source = file ?? "-";
    const flag = file === undefined ? undefined : compressionFlag(file)[0];
    if (flag !== undefined) {
      source = `${this.job.dir}/tmp/restore-${Deno.pid}.fifo`;
      await this.job.wait(this.job.spawn(["mkfifo", source]).status);
      const tool = flag === "--zstd" ? "zstd -q -d -c" : flag === "--lzop" ? "lzop -d -c" : "gzip -d -c";
      this.job.spawn(["sh", "-c", `exec ${tool} "$0" >"$1"`, file!, source], { stdout: "null" });
    }
    const thread = new RestoreThread();
    try {
      const event = await this.job.wait(thread.send({ kind: "tar", source }));
      if (event.event !== "tar-end") {
        if (event.event === "failed") this.job.print(event.reason);
        throw new Error(`command 'tar xpf ${file ?? "-"}' failed: exit code 2`);
      }
      updateState(this.job.dir, (state) => {
        for (const { id } of this.#created) {
          Object.assign(state.volumes[id]!, { synthetic: true, seed: event.seed ?? 0, verified: true });
        }
      });
      return event.config ?? "";
    } finally {
      thread.stop();
      if (flag !== undefined) await Deno.remove(source).catch(() => {});
    }
  }

  /** `unprivileged` and the template flag are never taken from a pipe's archive. */
  #writeConfig(archived: string, unprivileged: boolean, fromFile: boolean): void {
    const advanced = Object.keys(this.data.volumes).length > 0;
    let config = splitSections(archived).current;
    for (const key of configEntries(config).keys()) {
      const volume = /^(rootfs|mp\d+|unused\d+)$/.test(key);
      const line = configValue(config, key)!;
      const bind = volume && key.startsWith("mp") && !splitVolumeId(parseDisk(key, line).volume);
      const drop = volume && (advanced || !bind);
      const lost = key === "unprivileged" || key === "lock" || (key === "template" && !fromFile);
      if (drop || lost) config = withValue(config, key, undefined);
    }
    for (const [key, value] of Object.entries(this.data.config)) config = withValue(config, key, value);
    for (const { key, id, options, size } of this.#created) {
      config = withValue(config, key, `${id}${options},size=${formatSize(size)}`);
    }
    if (unprivileged) config = withValue(config, "unprivileged", "1");
    else config = withValue(config, "unprivileged", undefined);
    if (this.data.unique) config = renewUnique(config, "lxc");
    updateState(this.job.dir, (state) => {
      const guest = state.guests[this.data.vmid]!;
      guest.config = config;
      guest.broadcast = true;
      if (this.#firewall) guest.firewall = this.#firewall;
      if (this.data.pool !== undefined) guest.pool = this.data.pool;
      if (this.data.start && !isTrue(configValue(config, "template"))) guest.status = "running";
    });
  }

  /** New volumes go, and so does the configuration once the old container is gone. */
  undo(): void {
    updateState(this.job.dir, (state) => {
      for (const { id } of this.#created) freeVolume(state, id);
      const guest = state.guests[this.data.vmid];
      if (guest === undefined) return;
      if (this.destroyed) delete state.guests[this.data.vmid];
      else guest.config = withValue(guest.config, "lock", undefined);
    });
  }
}

function optionText(options: ReadonlyMap<string, string>): string {
  const kept = [...options].filter(([name]) => name !== "size" && name !== "volume");
  return kept.map(([name, value]) => `,${name}=${value}`).join("");
}

/** A plain template has neither configuration nor firewall file. */
function readOptional(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function removeTree(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

export async function runContainerRestore(job: Job): Promise<void> {
  const data = job.file.data as ContainerRestore;
  const restoration = new ContainerRestoration(job, data);
  try {
    await restoration.run();
  } catch (error) {
    restoration.undo();
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === job.interruptText) throw error;
    throw new Error(`unable to restore CT ${data.vmid} - ${reason}`);
  }
}
