/** The real plakar with the compiled binary as its package, a store of its own, and a simulated node around it. */
import { ensureBinary } from "../../scripts/compile.ts";
import { SimNode, type SimOptions } from "../pve/mod.ts";
import { buildPlakar } from "./tools.ts";

/** What a finished command left behind. */
export interface Finished {
  /** Exit status; 128 + signal number when a signal ended it. */
  status: number;
  stdout: Uint8Array;
  /** stdout as text. */
  text: string;
  stderr: string;
}

/** A command that has not ended yet: the leader of a process group, as a shell on a terminal makes it. */
export interface Running {
  pid: number;
  finished: Promise<Finished>;
  /** Sends a signal to plakar and all that it started, as a terminal does at Ctrl-C. */
  signalGroup(signal: Deno.Signal): void;
}

export interface Bed extends AsyncDisposable {
  node: SimNode;
  /** A directory for whatever a test needs; it goes with the bed. */
  dir: string;
  /** plakar's store. */
  store: string;
  plakar(...args: string[]): Promise<Finished>;
  /** `plakar at STORE …`. */
  at(...args: string[]): Promise<Finished>;
  /** Starts plakar, and does not wait. */
  start(...args: string[]): Running;
  /** Identifiers of the snapshots in the store, the newest first. */
  snapshots(): Promise<string[]>;
  /** Backs up from the source `pve`, which must make a snapshot; `options` are `key=value`. */
  backup(...options: string[]): Promise<{ id: string; said: Finished }>;
  /** Restores to the destination `pve`; `from` is a snapshot, or a part of one. */
  restore(from: string, ...options: string[]): Promise<Finished>;
  /** Paths of the files in a snapshot, sorted. */
  files(snapshot: string): Promise<string[]>;
  /** Content of a file: `SNAPSHOT:/PATH`. */
  cat(file: string): Promise<Uint8Array<ArrayBuffer>>;
  /** A parsed JSON file. */
  // deno-lint-ignore no-explicit-any -- a test looks at what it expects
  json(file: string): Promise<any>;
  /** What stands in the node's dump directory. */
  leftovers(): string[];
  /** Processes of the plugin that are alive. */
  plugins(): number[];
}

/** Why the node is not as a finished run leaves it, or `undefined`. */
export function untidiness(bed: Bed): string | undefined {
  const { guests, vzdump } = bed.node.locks();
  const found = {
    ...(Object.keys(guests).length > 0 ? { guests } : {}),
    ...(vzdump ? { vzdump } : {}),
    ...(bed.node.processes().length > 0 ? { processes: bed.node.processes() } : {}),
    ...(bed.leftovers().length > 0 ? { leftovers: bed.leftovers() } : {}),
  };
  return Object.keys(found).length > 0 ? JSON.stringify(found) : undefined;
}

const PACKAGE = "proxmox-under-test";

/** Makes a bed in a directory of its own under `parent`, on a simulated node, with source and destination `pve`. */
export async function makeBed(options: SimOptions = {}, parent?: string): Promise<Bed> {
  return await makeBedAt(async (dir) => {
    const node = await SimNode.create({ ...options, dir: `${dir}/node` });
    return { node, path: node.path, source: ["proxmox://"] };
  }, parent);
}

/** Where plakar runs, and what it backs up. */
export interface Place {
  /** The node, or the first one of the cluster. */
  node: SimNode;
  /** PATH of plakar and its plugin. */
  path: string;
  /** Location of source and destination `pve`, and their options. */
  source: readonly string[];
}

/** The same at a place that is made once there is a directory for it, which may be used too. */
export async function makeBedAt(place: (dir: string) => Promise<Place>, parent?: string): Promise<Bed> {
  const [binary, program] = await Promise.all([ensureBinary(), buildPlakar()]);
  const dir = await Deno.makeTempDir({
    prefix: "plakar-proxmox-test-",
    ...(parent === undefined ? {} : { dir: parent }),
  });
  const bed = new PlakarBed(dir, await place(dir), program);
  try {
    await bed.install(binary);
  } catch (error) {
    await bed[Symbol.asyncDispose]();
    throw error;
  }
  return bed;
}

class PlakarBed implements Bed {
  readonly store: string;
  /** Nothing of the user's own plakar may be found, nor touched. */
  readonly #environment: Record<string, string>;
  readonly node: SimNode;

  constructor(readonly dir: string, private readonly place: Place, private readonly program: string) {
    this.node = place.node;
    this.store = `${dir}/store`;
    this.#environment = {
      HOME: `${dir}/home`,
      XDG_STATE_HOME: `${dir}/state`,
      TMPDIR: `${dir}/tmp`,
      PATH: `${dir}/bin:${place.path}`,
    };
  }

  async install(binary: string): Promise<void> {
    for (const name of ["home", "tmp", "bin", "package"]) await Deno.mkdir(`${this.dir}/${name}`);
    await this.#must("-disable-security-check");
    await writePackage(`${this.dir}/package`, binary);
    await this.#must("pkg", "create", `${this.dir}/package/manifest.yaml`, "v0.0.1");
    const [made] = [...Deno.readDirSync(this.dir)].filter(({ name }) => name.endsWith(".ptar"));
    await this.#must("pkg", "add", `./${made?.name}`);
    await Deno.remove(`${this.dir}/${made?.name}`);
    await this.#must("at", this.store, "create", "-plaintext");
    for (const side of ["source", "destination"]) {
      await this.#must(side, "add", "pve", ...this.place.source, `dump_dir=${this.node.dumpDir}`);
    }
  }

  plakar(...args: string[]): Promise<Finished> {
    return this.start(...args).finished;
  }

  at(...args: string[]): Promise<Finished> {
    return this.plakar("at", this.store, ...args);
  }

  start(...args: string[]): Running {
    const child = new Deno.Command(this.program, {
      args,
      cwd: this.dir,
      clearEnv: true,
      env: this.#environment,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    return {
      pid: child.pid,
      finished: collect(child),
      signalGroup: (signal) => Deno.kill(-child.pid, signal),
    };
  }

  async snapshots(): Promise<string[]> {
    const { text } = await this.#must("at", this.store, "ls");
    return text.split("\n").filter(Boolean).map((line) => line.split(/\s+/)[1] as string);
  }

  async backup(...options: string[]): Promise<{ id: string; said: Finished }> {
    const before = await this.snapshots();
    const said = await this.at("backup", ...options.flatMap((option) => ["-o", option]), "@pve");
    const made = (await this.snapshots()).filter((id) => !before.includes(id));
    if (said.status !== 0 || made.length !== 1) throw new Error(`no snapshot was made: ${describe(said)}`);
    return { id: made[0] as string, said };
  }

  restore(from: string, ...options: string[]): Promise<Finished> {
    return this.at("restore", ...options.flatMap((option) => ["-o", option]), "-to", "@pve", from);
  }

  async files(snapshot: string): Promise<string[]> {
    const { text } = await this.#must("at", this.store, "ls", "-recursive", snapshot);
    return text.split("\n").flatMap((line) => /^\S+ -\S{9} .* (\/\S*)$/.exec(line)?.[1] ?? []).sort();
  }

  async cat(file: string): Promise<Uint8Array<ArrayBuffer>> {
    const { stdout } = await this.#must("at", this.store, "cat", file);
    return stdout as Uint8Array<ArrayBuffer>;
  }

  async json(file: string): Promise<unknown> {
    return JSON.parse(new TextDecoder().decode(await this.cat(file)));
  }

  leftovers(): string[] {
    return [...Deno.readDirSync(this.node.dumpDir)].map(({ name }) => name);
  }

  plugins(): number[] {
    const home = `${this.dir}/home/`;
    return processes((line) => line.startsWith(home) && /\0(importer|exporter)\0$/.test(line));
  }

  async #must(...args: string[]): Promise<Finished> {
    const finished = await this.plakar(...args);
    if (finished.status !== 0) throw new Error(`plakar ${args.join(" ")}: ${describe(finished)}`);
    return finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endCacheProcess();
    await this.node.dispose();
    await Deno.remove(this.dir, { recursive: true });
  }

  /** plakar leaves a process behind that keeps writing to its HOME until it was idle for seconds. */
  async #endCacheProcess(): Promise<void> {
    const cache = `${this.dir}/home/.cache/plakar`;
    const pids = () => processes((line) => line.endsWith(`\0-cachedir\0${cache}\0cached\0`));
    for (const pid of pids()) {
      try {
        Deno.kill(pid, "SIGTERM");
      } catch {
        // Ended meanwhile.
      }
    }
    await eventually("plakar's cache process has ended", () => pids().length === 0);
  }
}

/** The parts of a package that plakar asks for, with the binary linked in. */
async function writePackage(dir: string, binary: string): Promise<void> {
  const executable = `${dir}/plakar-proxmox`;
  await Deno.link(binary, executable).catch(() => Deno.copyFile(binary, executable));
  const connectors = ["importer", "exporter"].map((side) =>
    `  - type: ${side}
    class: hypervisor
    subclass: proxmox
    protocols: [proxmox]
    validator: ./${side}.json
    executable: ./plakar-proxmox
    args: [${side}]
`
  );
  for (const side of ["importer", "exporter"]) {
    await Deno.writeTextFile(`${dir}/${side}.json`, '{ "type": "object" }\n');
  }
  const manifest = `name: ${PACKAGE}
display_name: Proxmox under test
description: The binary as it was just compiled
tier: community
contact: nobody@example.org
homepage: https://example.org
license: ISC
tags: [proxmox]
api_version: v1.1.0
connectors:
${connectors.join("")}`;
  await Deno.writeTextFile(`${dir}/manifest.yaml`, manifest);
}

/** Calls on the node that change guests. */
export function changes(bed: Bed): string[] {
  const changing = /^(qmrestore|(qm|pct) (start|stop|shutdown|destroy|restore|set|clone))/;
  const lines = bed.node.calls().map(({ tool, argv }) => [tool, ...argv].join(" "));
  return lines.filter((line) => changing.test(line));
}

/** Waits until `condition` holds, at most some seconds. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`not so after ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Processes whose command line, words ending in a zero byte, is such. */
function processes(isSuch: (line: string) => boolean): number[] {
  return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
    try {
      return isSuch(Deno.readTextFileSync(`/proc/${name}/cmdline`)) ? [Number(name)] : [];
    } catch {
      return []; // it has ended
    }
  });
}

/** For messages of failed assertions. */
export function describe({ status, text, stderr }: Finished): string {
  return `exit status ${status}\n${text}\n${stderr}`;
}

async function collect(child: Deno.ChildProcess): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { status: code, stdout, text: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
