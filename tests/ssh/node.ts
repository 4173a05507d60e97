/** A simulated node behind a real sshd of its own. */
import { eventually } from "../plakar/bed.ts";
import type { SimNode } from "../pve/mod.ts";
import { must } from "./command.ts";
import type { Undo } from "./undo.ts";

export interface SshdSetting {
  address: string;
  port: number;
  /** Further `ListenAddress`es. */
  listen: string[];
  /** Directory for everything. */
  dir: string;
  undo: Undo;
  /** Configuration, in the order in which sshd is to read it: the first value of a keyword counts. */
  lines: string[];
  /** Types of the host keys, such as `ed25519`. */
  hostKeys: string[];
}

/** ADDRESS as known_hosts writes it. */
export function knownHost(address: string, port: number): string {
  return port === 22 ? address : `[${address}]:${port}`;
}

export class SshNode {
  private constructor(
    readonly sim: SimNode,
    /** Loopback address, of this node alone. */
    readonly address: string,
    /** The same for all nodes of a bed, as in a cluster. */
    readonly port: number,
    /** Public host keys, `TYPE BASE64`. */
    readonly hostKeys: string[],
    /** `SHA256:…` of the first one. */
    readonly hostKeyFingerprint: string,
    readonly dir: string,
  ) {}

  get name(): string {
    return this.sim.name;
  }

  /** Starts sshd for `sim`. */
  static async start(sim: SimNode, setting: SshdSetting): Promise<SshNode> {
    const { address, port, dir, lines } = setting;
    await Deno.mkdir(dir);
    const keys = await Promise.all(setting.hostKeys.map((type) => makeHostKey(dir, type)));
    const config = [
      ...[address, ...setting.listen].map((host) => `ListenAddress [${host}]:${port}`),
      ...keys.map(({ path }) => `HostKey ${path}`),
      `PidFile ${dir}/pid`,
      ...lines,
    ];
    await Deno.writeTextFile(`${dir}/config`, `${config.join("\n")}\n`);
    await setting.undo.add("end_server", `${dir}/pid`);
    const [first] = keys;
    const publicKeys = keys.map((key) => key.publicKey);
    const node = new SshNode(sim, address, port, publicKeys, first!.fingerprint, dir);
    await node.start();
    return node;
  }

  /** Starts sshd again after `stop`. */
  async start(): Promise<void> {
    await must(await sshdPath(), ["-f", `${this.dir}/config`, "-E", `${this.dir}/log`]);
    await eventually(`sshd listens: ${this.log()}`, () => this.#pid() !== undefined);
  }

  /** Ends sshd; sessions that are open go on unless `sessions` are to end too. */
  async stop({ sessions = true } = {}): Promise<void> {
    const pid = this.#pid();
    if (pid === undefined) return;
    if (sessions) this.dropConnections();
    Deno.kill(pid, "SIGTERM");
    await eventually("sshd has ended", () => this.#pid() === undefined);
  }

  /** Ends all connections at once, as when sshd's processes are killed; commands on the node are not told. */
  dropConnections(): void {
    for (const pid of this.connections().toReversed()) kill(pid);
  }

  /** Processes of sshd that serve connections, parents first. */
  connections(): number[] {
    const below = (pid: number): number[] =>
      children(pid).filter(isSshd).flatMap((child) => [child, ...below(child)]);
    const pid = this.#pid();
    return pid === undefined ? [] : below(pid);
  }

  /** What sshd has logged. */
  log(): string {
    return readText(`${this.dir}/log`) ?? "";
  }

  /** Line of a known_hosts file with the host key at `index`, under the given names; default: address, and name. */
  knownHostsLine(names = [knownHost(this.address, this.port), this.name], index = 0): string {
    return `${names.join(",")} ${this.hostKeys[index]}`;
  }

  #pid(): number | undefined {
    return Number(readText(`${this.dir}/pid`)) || undefined; // sshd removes the file when it ends
  }
}

/** sshd wants to be called by its whole path. */
async function sshdPath(): Promise<string> {
  return (await must("sh", ["-c", "command -v sshd"])).trim();
}

async function makeHostKey(dir: string, type: string) {
  const path = `${dir}/host_${type}`;
  await must("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", "", "-f", path]);
  const said = await must("ssh-keygen", ["-l", "-f", path]);
  const publicKey = (await Deno.readTextFile(`${path}.pub`)).trim();
  return { path, publicKey, fingerprint: said.split(" ")[1]! };
}

function children(pid: number): number[] {
  return (readText(`/proc/${pid}/task/${pid}/children`) ?? "").split(" ").filter(Boolean).map(Number);
}

function isSshd(pid: number): boolean {
  try {
    return /\/sshd(-\w+)?$/.test(Deno.readLinkSync(`/proc/${pid}/exe`));
  } catch {
    return false; // it has ended
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}
