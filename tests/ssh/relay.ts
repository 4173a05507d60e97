/** The compiled binary on a backup relay, a machine that is no node, with a simulated cluster that it reaches by SSH. */
import { ensureBinary } from "../../scripts/compile.ts";
import { eventually } from "../plakar/bed.ts";
import type { GuestReport } from "../../src/core/snapshot.ts";
import { SshBed, type SshBedOptions } from "./bed.ts";
import { FaultProxy } from "./proxy.ts";

/** What a finished run left behind. */
export interface Finished {
  /** Exit status; 128 + signal number when a signal ended it. */
  status: number;
  stdout: string;
  stderr: string;
  /** The lines of stdout as JSON objects, for `--json`. */
  // deno-lint-ignore no-explicit-any -- a test looks at what it expects
  json: any[];
}

/** A run that has not ended yet. */
export interface Running {
  child: Deno.ChildProcess;
  finished: Promise<Finished>;
}

export const MIB = 1024 * 1024;

/** Longer than a vzdump gets that has written nothing and so notices nothing. */
const TIDY_SECONDS = 45;

export class Relay implements AsyncDisposable {
  private constructor(
    readonly bed: SshBed,
    readonly binary: string,
    /** How every command reaches the cluster; a test may replace it. */
    public flags: string[],
  ) {}

  static async create(options: SshBedOptions = {}): Promise<Relay> {
    const binary = await ensureBinary();
    const bed = await SshBed.create(options);
    for (const name of ["home", "state", "tmp"]) {
      await Deno.mkdir(`${bed.dir}/relay/${name}`, { recursive: true });
    }
    return new Relay(bed, binary, bed.flags());
  }

  /** Directory for snapshots; does not exist before the first backup. */
  get store(): string {
    return `${this.bed.dir}/relay/store`;
  }

  /** Files of this program on the relay. */
  get stateDir(): string {
    return `${this.bed.dir}/relay/state/plakar-proxmox`;
  }

  /** Runs `plakar-proxmox ARGS`, with the flags that reach the cluster where the command takes them. */
  run(args: string[], env: Record<string, string> = {}): Promise<Finished> {
    return this.start(args, env).finished;
  }

  start(args: string[], env: Record<string, string> = {}): Running {
    const [command = ""] = args;
    const changes = ["backup", "restore"].includes(command);
    const child = new Deno.Command(this.binary, {
      args: [
        ...args,
        ...changes || command === "guests" ? this.flags : [],
        ...changes ? ["--dump-dir", this.bed.sim.dumpDir] : [],
      ],
      clearEnv: true,
      env: { ...this.#environment(), ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return { child, finished: collect(child) };
  }

  /** `backup ARGS --to STORE`. */
  backup(...args: string[]): Promise<Finished> {
    return this.run(["backup", ...args, "--to", this.store]);
  }

  /** `restore ARGS --from STORE`. */
  restore(...args: string[]): Promise<Finished> {
    return this.run(["restore", "--from", this.store, ...args]);
  }

  /** Puts a proxy before a node, which the cluster's other nodes and this relay then find there. */
  async proxyBefore(name: string): Promise<FaultProxy> {
    const { bed } = this;
    const node = bed.node(name);
    const hostname = node.address.replace(/\d+$/, (last) => String(100 + Number(last)));
    const proxy = new FaultProxy({ hostname: node.address, port: bed.port }, { hostname, port: bed.port });
    await bed.knowProxy(proxy, node);
    bed.sim.change((state) => {
      state.nodes[name]!.ip = hostname;
    });
    const at = this.flags.indexOf(`proxmox://root@${node.address}:${bed.port}`);
    if (at >= 0) this.flags[at] = `proxmox://root@${hostname}:${bed.port}`;
    return proxy;
  }

  /** Names of the files in the only snapshot. */
  get files(): string[] {
    return [...Deno.readDirSync(this.snapshot)].map(({ name }) => name).sort();
  }

  /** Path of the only snapshot. */
  get snapshot(): string {
    const [entry, ...others] = Deno.readDirSync(this.store);
    if (!entry || others.length > 0) throw new Error(`"${this.store}" does not hold just one snapshot`);
    return `${this.store}/${entry.name}`;
  }

  /** Outcome of each guest in the report of the only snapshot. */
  get outcomes(): Record<number, string> {
    return Object.fromEntries(this.#guests().map(({ vmid, outcome }) => [vmid, outcome]));
  }

  /** What the report of the only snapshot says of a guest. */
  report(vmid: number): GuestReport {
    const guest = this.#guests().find((candidate) => candidate.vmid === vmid);
    if (!guest) throw new Error(`the report does not tell of guest ${vmid}`);
    return guest;
  }

  /** Bytes that stand in unfinished archives, on the relay and on the nodes. */
  underWay(folder = this.store): number {
    return bytesIn(folder, (name) => /^vzdump-.*\.part$/.test(name));
  }

  /** Bytes of archives that are staged on a node. */
  get staged(): number {
    return bytesIn(this.bed.sim.dumpDir, (name) => name.startsWith("vzdump-"));
  }

  /** Calls on the nodes that change guests. */
  get changes(): string[] {
    const changing = /^(qmrestore|(qm|pct) (start|stop|shutdown|destroy|restore|set|clone))/;
    return this.bed.sim.calls().map(({ tool, argv }) => [tool, ...argv].join(" ")).filter((line) =>
      changing.test(line)
    );
  }

  /** Waits until nothing is left of any run, on the nodes and on the relay. */
  tidy(): Promise<void> {
    return tidy(this.bed, `${this.bed.dir}/relay/tmp`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bed[Symbol.asyncDispose]();
  }

  #guests(): GuestReport[] {
    return JSON.parse(Deno.readTextFileSync(`${this.snapshot}/report.json`)).guests;
  }

  #environment(): Record<string, string> {
    const dir = `${this.bed.dir}/relay`;
    return {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: `${dir}/home`,
      XDG_STATE_HOME: `${dir}/state`,
      TMPDIR: `${dir}/tmp`,
    };
  }
}

/** Waits until the nodes, and directories for temporary files, are as finished runs leave them. */
export async function tidy(bed: SshBed, ...folders: string[]): Promise<void> {
  const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name);
  const left = () => {
    const found = {
      guests: bed.sim.locks().guests,
      vzdump: bed.nodes.filter(({ sim }) => sim.locks().vzdump).map(({ name }) => name),
      processes: bed.processes(),
      files: [bed.sim.dumpDir, ...folders].flatMap(namesIn),
    };
    const kept = Object.entries(found).filter(([, what]) => Object.keys(what).length > 0);
    return kept.length > 0 ? JSON.stringify(Object.fromEntries(kept)) : "";
  };
  await eventually("nothing is left", () => left() === "", TIDY_SECONDS).catch((error) => {
    throw new Error(`${error.message}: ${left()}`);
  });
}

/** Highest memory that a process had while it ran, in bytes. */
export async function peakMemory({ child, finished }: Running): Promise<number> {
  let peak = 0;
  let isOver = false;
  finished.finally(() => isOver = true);
  while (!isOver) {
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
    peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return peak;
}

/** For messages of failed assertions. */
export function describe({ status, stdout, stderr }: Finished): string {
  return `exit status ${status}\n${stdout}\n${stderr}`;
}

function bytesIn(folder: string, isCounted: (name: string) => boolean): number {
  let bytes = 0;
  try {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory) bytes += bytesIn(path, isCounted);
      else if (isCounted(name)) bytes += Deno.statSync(path).size;
    }
  } catch {
    // Not there yet, or gone between two looks.
  }
  return bytes;
}

async function collect(child: Deno.ChildProcess): Promise<Finished> {
  const output = await child.output();
  const [stdout = "", stderr = ""] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  return {
    status: output.code,
    stdout,
    stderr,
    get json() {
      return stdout.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    },
  };
}
