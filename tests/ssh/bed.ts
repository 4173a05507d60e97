/**
 * A simulated cluster, each node behind a real sshd of its own: `await using bed = await SshBed.create({ … })`.
 * Needs root, as Proxmox's own tools do. Whatever happens to the tests, SIGKILL included, nothing stays behind.
 */
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { needs } from "../needs.ts";
import { SimNode, type SimOptions } from "../pve/mod.ts";
import { type Account, type AccountSpec, makeAccount } from "./accounts.ts";
import { must } from "./command.ts";
import { type KeySpec, makeKey, startAgent } from "./keys.ts";
import { knownHost, SshNode } from "./node.ts";
import type { FaultProxy } from "./proxy.ts";
import { Undo } from "./undo.ts";

export type { Account, AccountSpec } from "./accounts.ts";
export type { SshNode } from "./node.ts";

export interface SshBedOptions extends Omit<SimOptions, "dir" | "name" | "otherNodes" | "addresses"> {
  /** Names; `!name` is one that is offline and has no sshd. Default: `pve1`. */
  nodes?: string[];
  /** Keywords of sshd_config(5) for every node, before the bed's own. */
  sshd?: Record<string, string | number>;
  /** Types of each node's host keys, the first one pinned and known; default `ed25519`. */
  hostKeys?: string[];
  /** What the login says before each command runs. */
  noise?: { banner?: string; stdout?: string; stderr?: string };
  /** The first node listens on `::1` too. */
  ipv6?: boolean;
}

/** For a test that uses a bed: `Deno.test({ name, ...needsSsh(), fn })`; with what else it needs. */
export function needsSsh(...programs: string[]): { ignore: boolean } {
  return needs("root", "ssh", "sshd", ...programs);
}

export class SshBed implements AsyncDisposable {
  /** Nodes with an sshd, in the order given; the first one is the natural entry. */
  readonly nodes: SshNode[] = [];
  readonly #undo = new Undo();
  #accounts = 0;

  private constructor(
    /** A directory for whatever a test needs; it goes with the bed. */
    readonly dir: string,
    /** Of all nodes. */
    readonly port: number,
    readonly id: string,
  ) {}

  static async create(options: SshBedOptions = {}): Promise<SshBed> {
    const dir = await Deno.makeTempDir({ prefix: "plakar-proxmox-ssh-" });
    const id = crypto.randomUUID().slice(0, 6);
    const names = options.nodes ?? ["pve1"];
    const addresses = nodeAddresses(names.length);
    const bed = new SshBed(dir, freePort(addresses), id);
    try {
      await bed.#prepare();
      await bed.#startNodes(options, names, addresses);
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
    return bed;
  }

  /** The simulated cluster, seen from its first node. */
  get sim(): SimNode {
    return this.#node(0).sim;
  }

  /** A private key that every account takes. */
  get identityFile(): string {
    return `${this.dir}/identity`;
  }

  /** A known_hosts file with the nodes' keys, under their addresses and names. A test may write another one. */
  get knownHosts(): string {
    return `${this.dir}/known_hosts`;
  }

  /** Home directory of root's logins, empty at first. */
  get home(): string {
    return `${this.dir}/homes/root`;
  }

  node(name: string): SshNode {
    const node = this.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`no node "${name}" with an sshd`);
    return node;
  }

  /** Options of this program that reach a node (default: the first one), as plakar takes them. */
  options(node = this.#node(0), user = "root"): Record<string, string> {
    return {
      location: `proxmox://${user}@${node.address}:${node.port}`,
      mode: "remote",
      conn_identity_file: this.identityFile,
      known_hosts: this.knownHosts,
      host_key_check: "strict",
    };
  }

  /** The same, for a command line. */
  flags(node = this.#node(0), user = "root"): string[] {
    const options = Object.entries(this.options(node, user));
    return options.flatMap(([key, value]) => [`--${key.replaceAll("_", "-")}`, value]);
  }

  /** What a transport gets to reach a node; parts of it replaced. */
  sshOptions(replaced: Partial<SshOptions> = {}, node = this.#node(0)): SshOptions {
    return {
      target: { host: node.address, port: node.port, user: "root" },
      login: { method: "identity", identityFile: this.identityFile },
      trust: { hostKeyCheck: "strict", knownHosts: this.knownHosts, recordIn: `${this.dir}/recorded` },
      connectTimeout: 10_000,
      keepalive: 15_000,
      say: () => {},
      ...replaced,
    };
  }

  /** Makes a known host of what is reached through `proxy`, and answers where that is. */
  async knowProxy(
    proxy: FaultProxy,
    node = this.#node(0),
  ): Promise<{ host: string; port: number; user: string }> {
    const name = knownHost(proxy.hostname, proxy.port);
    await Deno.writeTextFile(this.knownHosts, `${node.knownHostsLine([name])}\n`, { append: true });
    return { host: proxy.hostname, port: proxy.port, user: "root" };
  }

  /** What Proxmox sets up on every node: `ssh` there reaches the others as root, under their names. */
  async trustEachOther(from = this.#node(0)): Promise<void> {
    const settings = [
      `Port=${this.port}`,
      `IdentityFile=${this.identityFile}`,
      `UserKnownHostsFile=${this.knownHosts}`,
    ];
    const words = settings.map((setting) => `-o ${setting}`).join(" ");
    const script = `#!/bin/sh\nexec /usr/bin/ssh ${words} "$@"\n`;
    await Deno.writeTextFile(`${from.sim.bin}/ssh`, script, { mode: 0o755 });
  }

  /** Makes a throw-away account, which every node has. */
  async addAccount(spec: AccountSpec): Promise<Account> {
    const name = `ppx-${this.id}-${++this.#accounts}`;
    const keptInSudo = ["PATH", MARK];
    return await makeAccount(name, spec, { dir: `${this.dir}/homes`, undo: this.#undo, keptInSudo });
  }

  /** Makes another key; answers the path of its file. */
  async addKey(spec: KeySpec = {}): Promise<string> {
    const path = `${this.dir}/key-${crypto.randomUUID().slice(0, 8)}`;
    await makeKey(path, spec);
    if (spec.authorized ?? true) await this.#authorize(path);
    return path;
  }

  /** Starts an ssh-agent that holds the given keys (default: the usual one); answers its socket. */
  startAgent(keys = [this.identityFile]): Promise<string> {
    return startAgent(this.dir, this.#undo, keys);
  }

  /** Command lines of the processes on the nodes that logins have started. */
  processes(): string[] {
    const mark = `${MARK}=${this.dir}`;
    return [...Deno.readDirSync("/proc")].filter(({ name }) => /^\d+$/.test(name)).flatMap(({ name }) => {
      try {
        const isOurs = Deno.readTextFileSync(`/proc/${name}/environ`).split("\0").includes(mark);
        return isOurs
          ? [Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ").slice(0, 200)]
          : [];
      } catch {
        return []; // it has ended
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.nodes[0]) await this.sim.dispose();
    await this.#undo.run();
  }

  async #prepare(): Promise<void> {
    await this.#undo.add("rm", "-rf", this.dir);
    await this.#undo.add("end_marked", `${MARK}=${this.dir}`);
    await Deno.chmod(this.dir, 0o755); // plain users go through it
    await Deno.mkdir(this.home, { recursive: true });
    await Deno.mkdir("/run/sshd", { recursive: true }); // compiled into sshd; systemd makes it elsewhere
    await makeKey(this.identityFile);
    await this.#authorize(this.identityFile);
  }

  async #startNodes(options: SshBedOptions, names: string[], addresses: string[]): Promise<void> {
    const { sshd: _, hostKeys = ["ed25519"], noise: __, ipv6, nodes: ___, ...simulated } = options;
    const [name, ...otherNodes] = names;
    const dir = `${this.dir}/cluster`;
    const first = await SimNode.create({ ...simulated, name: name!, otherNodes, addresses, dir });
    const common = await this.#sshdLines(options);
    const starts = names.flatMap((name, index) => {
      if (name.startsWith("!")) return [];
      const sim = index === 0 ? first : first.node(name);
      return [SshNode.start(sim, {
        address: addresses[index]!,
        port: this.port,
        listen: index === 0 && ipv6 ? ["::1"] : [],
        dir: `${this.dir}/sshd-${name}`,
        undo: this.#undo,
        lines: [...common, ...this.#environmentLines(sim)],
        hostKeys,
      })];
    });
    this.nodes.push(...await Promise.all(starts));
    const lines = this.nodes.map((node) => node.knownHostsLine());
    if (ipv6) lines.push(this.#node(0).knownHostsLine([knownHost("::1", this.port)]));
    await Deno.writeTextFile(this.knownHosts, lines.map((line) => `${line}\n`).join(""));
  }

  async #sshdLines({ sshd = {}, noise = {} }: SshBedOptions): Promise<string[]> {
    const lines = Object.entries(sshd).map(([keyword, value]) => `${keyword} ${value}`);
    if (noise.banner !== undefined) {
      await Deno.writeTextFile(`${this.dir}/banner`, noise.banner);
      lines.push(`Banner ${this.dir}/banner`);
    }
    if (noise.stdout !== undefined || noise.stderr !== undefined) {
      await writeNoise(`${this.dir}/noise`, noise);
      lines.push(`ForceCommand ${this.dir}/noise/say`);
    }
    return [
      ...lines,
      `AllowUsers root ppx-${this.id}-*`,
      "PermitRootLogin yes",
      `AuthorizedKeysFile ${this.dir}/authorized_keys`,
      "StrictModes no", // the directory above is /tmp
      "PasswordAuthentication yes",
      "KbdInteractiveAuthentication no",
      // Without PAM a locked root ("!" in /etc/shadow) could not log in by key either.
      `UsePAM ${await isRootLocked() ? "yes" : "no"}`,
      "AcceptEnv LANG LC_*", // as Debian has it
      "MaxStartups 100",
      "UseDNS no",
      "PrintMotd no",
      ...await hasPenalties() ? ["PerSourcePenalties no"] : [],
    ];
  }

  /** Root's own login files have no part in the tests: its home is here. */
  #environmentLines(sim: SimNode): string[] {
    const variables = `PATH="${sim.path}" ${MARK}=${this.dir}`;
    return [
      "Match User root",
      `SetEnv ${variables} HOME=${this.home}`,
      "Match User *,!root",
      `SetEnv ${variables}`,
      "Match all",
    ];
  }

  async #authorize(key: string): Promise<void> {
    const line = await Deno.readTextFile(`${key}.pub`);
    await Deno.writeTextFile(`${this.dir}/authorized_keys`, line, { append: true, mode: 0o644 });
  }

  #node(index: number): SshNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error("the bed has no such node");
    return node;
  }
}

/** Variable in the environment of every process that a login of the bed started: the bed's directory. */
const MARK = "PLAKAR_PROXMOX_TEST_BED";

/** Loopback addresses that no other bed is likely to have: one network of 254 for each. */
function nodeAddresses(count: number): string[] {
  const [a = 0, b = 0] = crypto.getRandomValues(new Uint8Array(2));
  return Array.from({ length: count }, (_, index) => `127.${1 + a % 250}.${b}.${index + 1}`);
}

/** A port that is free on the first address, as on the others of a network that nobody else uses. */
function freePort([hostname]: string[]): number {
  const listener = Deno.listen({ hostname: hostname!, port: 0 });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}

/** A program that says something and then runs what it was asked to, as the account's shell does. */
async function writeNoise(dir: string, { stdout = "", stderr = "" }: { stdout?: string; stderr?: string }) {
  await Deno.mkdir(dir);
  await Deno.writeTextFile(`${dir}/stdout`, stdout);
  await Deno.writeTextFile(`${dir}/stderr`, stderr);
  const script = `#!/bin/sh
cat ${dir}/stdout
cat ${dir}/stderr >&2
exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"
`;
  await Deno.writeTextFile(`${dir}/say`, script, { mode: 0o755 });
}

async function isRootLocked(): Promise<boolean> {
  return /^root:!/m.test(await Deno.readTextFile("/etc/shadow").catch(() => ""));
}

/** OpenSSH 9.8 began to keep out addresses whose logins failed; tests fail on purpose. */
async function hasPenalties(): Promise<boolean> {
  const said = await must("sh", ["-c", "ssh -V 2>&1"]);
  const [, major, minor] = /OpenSSH_(\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) * 100 + Number(minor) >= 908;
}
