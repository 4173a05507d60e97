/** The worker of qmrestore: what is checked when, what a failure leaves behind. */
import { archiveInfo } from "./archive_path.ts";
import {
  configEntries,
  configValue,
  type DiskLine,
  diskLines,
  formatSize,
  isCdrom,
  isTrue,
  splitVolumeId,
  withValue,
} from "./config.ts";
import { renewGeneration, renewUnique } from "./identity.ts";
import type { VmRestore } from "./qmrestore.ts";
import type { RestoreTarget } from "./restore_thread.ts";
import { atLeast, faultsOf, type GuestState, readState, type SimState, updateState } from "./state.ts";
import { allocateVolume, freeVolume, hasContent, usableStorage } from "./storage.ts";
import { VmaExtraction } from "./vma_extract.ts";
import type { VmaHeader } from "./vma_read.ts";
import type { Job } from "./worker.ts";

const NEW_CONFIG = "memory: 128\n";
const MAP_LINE = /^#qmdump#map:(\S+):(\S+):(\S*):(\S*):$/;

const isCloudInit = (disk: DiskLine) => isCdrom(disk) && disk.volume.includes("cloudinit");

/** A device of the archive and where it goes. */
interface Placement {
  id: number;
  /** `drive-scsi0`. */
  device: string;
  /** `scsi0`. */
  key: string;
  storage: string;
  size: number;
  /** Volume id, once allocated. */
  volume?: string;
}

class VmRestoration {
  readonly #allocated: string[] = [];
  constructor(readonly job: Job, readonly data: VmRestore) {}

  get #faults() {
    return faultsOf(readState(this.job.dir), this.data.vmid);
  }

  #guest(state: SimState): GuestState {
    const guest = state.guests[this.data.vmid];
    if (guest === undefined) {
      throw new Error(
        `Configuration file 'nodes/${this.job.node}/qemu-server/${this.data.vmid}.conf' does not exist`,
      );
    }
    return guest;
  }

  /** --force never stops a guest and never overrides its protection. */
  #refuseOverwrite(): void {
    const guest = this.#guest(readState(this.job.dir));
    const refuse = (reason: string) => new Error(`unable to restore VM ${this.data.vmid} - ${reason}`);
    if (isTrue(configValue(guest.config, "protection"))) throw refuse("- protection mode enabled");
    if (guest.status !== "stopped") throw refuse("vm is running");
  }

  async #hang(at: "before-destroy" | "after-destroy"): Promise<void> {
    const faults = this.#faults;
    if (faults.restoreHangs === at) await this.job.pause(2 ** 31 - 1);
    if (at === "after-destroy" && faults.restoreMs) await this.job.pause(faults.restoreMs);
    const reason = at === "before-destroy"
      ? faults.restoreFailsBeforeDestroy
      : faults.restoreFailsAfterDestroy;
    if (reason !== undefined) throw new Error(reason);
  }

  async run(): Promise<void> {
    const { archive, overwrite } = this.data;
    if (overwrite) this.#refuseOverwrite();
    const state = readState(this.job.dir);
    const info = archive === "-" ? { format: "vma" as const } : archiveInfo(archive, state.release);
    if (info.format === "tar") {
      throw new Error(`ERROR: file '${archive}' does not look like a QemuServer vzdump backup`);
    }
    const extraction = new VmaExtraction(this.job, {
      ...info,
      archive,
      tmpdir: `${this.job.dir}/tmp`,
      shortLimit: !atLeast(state.release, "8.2"),
      timeScale: state.knobs.timeScale,
    });
    try {
      this.job.print(`restore vma archive: ${extraction.command}`);
      await this.#extract(extraction);
    } catch (error) {
      this.#freeAllocated();
      throw error;
    } finally {
      extraction.stop();
      await Deno.remove(`${this.job.dir}/tmp/vzdumptmp${Deno.pid}.fifo`).catch(() => {});
    }
    this.job.print("rescan volumes...");
    updateState(this.job.dir, (changed) => {
      const guest = this.#guest(changed);
      guest.config = withValue(guest.config, "lock", undefined);
      guest.broadcast = true;
      if (this.data.pool !== undefined) guest.pool = this.data.pool;
      if (this.data.start) guest.status = "running";
    });
  }

  async #extract(extraction: VmaExtraction): Promise<void> {
    const header = await extraction.header();
    this.#printHeader(header);
    const content = header.configs.find((config) => config.name === "qemu-server.conf")?.content;
    if (content === undefined) {
      throw extraction.failure("unable to find configuration file 'qemu-server.conf'");
    }
    const config = new TextDecoder().decode(content);
    let placements: Placement[];
    try {
      placements = this.#place(header, config);
    } catch (error) {
      throw extraction.failure((error as Error).message);
    }
    await this.#hang("before-destroy");
    this.#destroyOld(placements.map((placement) => placement.key));
    await this.#hang("after-destroy");
    try {
      this.#allocate(placements);
    } catch (error) {
      throw extraction.failure((error as Error).message);
    }
    const totals = await extraction.data(this.#targets(placements), this.#progress(header));
    this.#printTotals(totals);
    const firewall = header.configs.find((item) => item.name === "qemu-server.fw")?.content;
    this.#writeConfig(config, placements, totals.seeds, firewall && new TextDecoder().decode(firewall));
  }

  #printHeader(header: VmaHeader): void {
    for (const { name, content } of header.configs) {
      this.job.print(`CFG: size: ${content.length} name: ${name}`);
    }
    for (const { id, size, name } of header.devices) {
      this.job.print(`DEV: dev_id=${id} size: ${size} devname: ${name}`);
    }
    const [day, month, date, year, time] = new Date(header.ctime * 1000).toString().split(" ");
    this.job.print(`CTIME: ${day} ${month} ${date} ${time} ${year}`);
  }

  /** Where every device goes: --storage, else the storage named in the backup, else `local`. */
  #place(header: VmaHeader, config: string): Placement[] {
    const hints = new Map<string, { key: string; storage: string }>();
    for (const line of config.split("\n")) {
      const [, key = "", device = "", storage = ""] = MAP_LINE.exec(line) ?? [];
      if (key !== "") {
        hints.set(device, { key, storage: this.data.storage ?? (storage === "" ? "local" : storage) });
      }
    }
    for (const disk of diskLines("qemu", config).filter(isCloudInit)) {
      this.#requireImages(this.#cloudInitStorage(disk));
    }
    return header.devices.map(({ id, name, size }) => {
      const hint = hints.get(name);
      if (hint === undefined) throw new Error(`found no device mapping information for device '${name}'`);
      this.#requireImages(hint.storage);
      return { id, device: name, ...hint, size };
    });
  }

  /** A cloud-init drive is in no backup; its own line says where a new one goes. */
  #cloudInitStorage(disk: DiskLine): string {
    const origin = splitVolumeId(disk.volume)?.storage;
    if (origin === undefined) throw new Error(`unable to parse volume ID '${disk.volume}'`);
    return this.data.storage ?? origin;
  }

  #requireImages(storage: string): void {
    if (hasContent(usableStorage(readState(this.job.dir), storage, this.job.node), "images")) return;
    throw new Error(`Content type 'images' is not available on storage '${storage}'`);
  }

  /** The point of no return: configuration, snapshots and the disks that the backup holds are gone. */
  #destroyOld(keys: readonly string[]): void {
    updateState(this.job.dir, (state) => {
      const guest = this.#guest(state);
      let kept = `lock: create\n${NEW_CONFIG}`;
      let unused = 0;
      for (const disk of diskLines("qemu", guest.config, true)) {
        if (isCdrom(disk) || state.volumes[disk.volume] === undefined) continue;
        if (keys.includes(disk.key)) freeVolume(state, disk.volume);
        else kept = withValue(kept, `unused${unused++}`, disk.volume);
      }
      guest.config = kept;
    });
  }

  #allocate(placements: Placement[]): void {
    for (const placement of placements) {
      const { storage, size } = placement;
      placement.volume = updateState(
        this.job.dir,
        (state) => allocateVolume(state, this.job.dir, { storage, vmid: this.data.vmid, kind: "qemu", size }),
      );
      this.#allocated.push(placement.volume);
      this.job.print(`new volume ID is '${placement.volume}'`);
    }
    for (const { device, volume } of placements) {
      const name = volume!.slice(volume!.indexOf(":") + 1);
      this.job.print(`map '${device}' to '/dev/pve/${name}' (write zeros = 0)`);
    }
  }

  #targets(placements: readonly Placement[]): RestoreTarget[] {
    const { volumes } = readState(this.job.dir);
    return placements.map(({ id, device, volume }) => {
      const path = volumes[volume!]?.path;
      return { id, name: device, ...(path === undefined ? {} : { path }) };
    });
  }

  /** One line per percent; the bytes are logical, zeros included. */
  #progress(header: VmaHeader): (read: number) => void {
    const total = header.devices.reduce((sum, device) => sum + device.size, 0);
    const started = Date.now();
    return (read) => {
      const seconds = Math.floor((Date.now() - started) / 1000);
      this.job.print(
        `progress ${Math.floor(read * 100 / total)}% (read ${read} bytes, duration ${seconds} sec)`,
      );
    };
  }

  #printTotals({ read, zero }: { read: number; zero: number }): void {
    if (read === 0) return this.job.print("vma archive contains no image data");
    this.job.print(
      `total bytes read ${read}, sparse bytes ${zero} (${Number((zero * 100 / read).toPrecision(3))}%)`,
    );
    this.job.print(`space reduction due to 4K zero blocks ${Number((zero * 100 / read).toPrecision(3))}%`);
  }

  /** The archive's configuration with the new volumes; disks that were not backed up become comments. */
  #writeConfig(
    archived: string,
    placements: readonly Placement[],
    seeds: Record<number, number>,
    firewall: string | undefined,
  ): void {
    const byKey = new Map(placements.map((placement) => [placement.key, placement]));
    const disks = new Map(diskLines("qemu", archived).map((disk) => [disk.key, disk]));
    const lines: string[] = [];
    for (const line of archived.split("\n")) {
      const key = line.slice(0, line.indexOf(":"));
      const disk = disks.get(key);
      const placement = byKey.get(key);
      if (line === "" || line.startsWith("#qmdump#") || /^(lock|parent|unused\d+)$/.test(key)) continue;
      if (disk && placement) {
        const value = disk.value.replace(disk.volume, placement.volume!).replace(/,size=[^,]*/, "");
        lines.push(`${key}: ${value},size=${formatSize(placement.size)}`);
      } else if (disk && isCloudInit(disk)) {
        lines.push(`${key}: ${this.#cloudInitStorage(disk)}:vm-${this.data.vmid}-cloudinit,media=cdrom`);
      } else {
        lines.push(disk && !isCdrom(disk) ? `#${line}` : line);
      }
    }
    updateState(this.job.dir, (state) => {
      const guest = this.#guest(state);
      const unused = [...configEntries(guest.config)].filter(([key]) => key.startsWith("unused"));
      let config = renewGeneration(lines.join("\n") + "\nlock: create\n");
      if (this.data.unique) config = renewUnique(config, "qemu");
      for (const [key, value] of unused) config = withValue(config, key, value);
      guest.config = config;
      if (firewall !== undefined) guest.firewall = firewall;
      for (const { id, volume } of placements) {
        const restored = state.volumes[volume!]!;
        if (restored.path === undefined) {
          Object.assign(restored, { synthetic: true, seed: seeds[id], verified: true });
        }
      }
    });
  }

  #freeAllocated(): void {
    for (const volume of this.#allocated) {
      updateState(this.job.dir, (state) => freeVolume(state, volume));
      this.job.print(`temporary volume '${volume}' successfully removed`);
    }
  }
}

export async function runVmRestore(job: Job): Promise<void> {
  const data = job.file.data as VmRestore;
  try {
    await new VmRestoration(job, data).run();
  } catch (error) {
    updateState(job.dir, (state) => {
      const guest = state.guests[data.vmid];
      if (guest) guest.config = withValue(guest.config, "lock", undefined);
    });
    job.print(
      "error before or during data restore, some or all disks were not completely restored. " +
        `VM ${data.vmid} state is NOT cleaned up.`,
    );
    throw error;
  }
}
