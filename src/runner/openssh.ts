import { messageOf, UserError } from "../core/errors.ts";
import { LocalRunner } from "./local.ts";
import { complaint } from "./openssh/complaint.ts";
import { Master } from "./openssh/master.ts";
import { accountArgs, ENVIRONMENT, refuseSecrets, settingArgs, settingsOf } from "./openssh/settings.ts";
import type { Channel, Channels } from "./remote/channel.ts";
import { ChildChannels } from "./remote/child_channel.ts";
import type { SshOptions } from "./remote/ssh_target.ts";
import { fingerprint, parseKnownHosts } from "./ssh/known_hosts.ts";
import { accountLabel } from "./ssh/names.ts";

/** Exit status of an ssh that failed itself (ssh(1), EXIT STATUS); a command's own 255 is told by our programs. */
const SSH_FAILED = 255;

/** What the user's own configuration says about the account. */
interface TheirConfiguration {
  knownHosts: string[];
  /** Whether it names a control socket. */
  hasControlPath: boolean;
}

/** A way to open channels, until it is over. */
type Connection = Pick<Channels, "open" | "close">;

/**
 * Reaches a node by the system's `ssh`, as the user has set it up: aliases, jump hosts, agents, hardware keys. One
 * connection, made at the first `open`, carries all channels: the user's own where a master is at work already, else
 * one of ours, made anew by the next `open` after it was lost. A session that it has no room for (sshd's MaxSessions)
 * gets a connection of its own, by ssh itself.
 */
export class OpensshChannels implements Channels {
  readonly label: string;
  readonly #local = new LocalRunner({ env: ENVIRONMENT });
  readonly #said = new Set<string>();
  readonly #made: Connection[] = [];
  #current: Promise<Connection> | undefined;
  #latest: Connection | undefined;
  #isClosed = false;

  /** @throws {UserError} of kind `usage` for what the system's ssh cannot be given */
  constructor(readonly options: SshOptions) {
    refuseSecrets(options);
    this.label = labelOf(options);
  }

  async open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    if (this.#isClosed) {
      throw new UserError(
        "unreachable",
        `Cannot open a channel to "${this.label}": the connection was closed`,
      );
    }
    const current = this.#current ??= this.#connect();
    try {
      return await (await current).open(command, onStderr);
    } catch (error) {
      if (this.#current === current) this.#current = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#current?.catch(() => undefined);
    await Promise.all(this.#made.map((connection) => connection.close()));
  }

  async #connect(): Promise<Connection> {
    const theirs = await this.#configuration();
    const settings = settingsOf(this.options, theirs.knownHosts);
    if (theirs.hasControlPath && await this.#hasMaster(settings)) return this.#sharing(settings);
    const master = await this.#master(settings);
    const connection = this.#sharing([...settings, master.controlPath], master);
    void master.ended.then(() => {
      this.#forget(connection);
      void master.close();
    });
    return connection;
  }

  /** Channels over a master; without one, or where it is full, each `ssh` connects by itself. */
  #sharing(settings: readonly string[], master?: Master): Connection {
    const all = [...settings, "ControlMaster=no", "PermitLocalCommand=no", "LogLevel=ERROR"];
    const channels = new ChildChannels({
      label: this.label,
      argv: ["ssh", ...settingArgs(all), ...accountArgs(this.options)],
      env: ENVIRONMENT,
      killOnClose: true,
      explain: (status) => {
        if (status !== SSH_FAILED) return undefined;
        if (!master) this.#forget(connection);
        // What came on its stderr is the command's more likely than its own.
        return complaint(this.label, master?.lastWords ?? "");
      },
    });
    const connection: Connection = {
      open: (command, onStderr) => channels.open(command, onStderr),
      async close() {
        await channels.close();
        await master?.close();
      },
    };
    this.#made.push(connection);
    this.#latest = connection;
    return connection;
  }

  /** The next channel needs a new connection. */
  #forget(connection: Connection): void {
    if (this.#latest === connection) this.#current = undefined;
  }

  async #master(settings: readonly string[]): Promise<Master> {
    const { trust, connectTimeout } = this.options;
    if (trust.hostKeyCheck === "accept-new") await prepareRecord(trust.recordIn);
    const account = accountArgs(this.options);
    const master = await Master.connect({ label: this.label, settings, account, connectTimeout });
    if (trust.fingerprint !== undefined) return master;
    if (trust.hostKeyCheck === "off") {
      this.#say(`Did not check who "${this.label}" is, since host_key_check is "off"`);
    } else if (master.hasRecordedKey) {
      this.#say(
        `Recorded the new host key of "${this.label}" in "${trust.recordIn}"${await lastKey(trust.recordIn)}`,
      );
    }
    return master;
  }

  async #configuration(): Promise<TheirConfiguration> {
    const { status, stdout, logTail } = await this.#ssh(["-G"], []);
    if (status !== 0) throw complaint(this.label, logTail);
    const values = new Map(
      stdout.split("\n").map((line) => {
        const [, keyword = "", value = ""] = /^(\S+) (.*)$/.exec(line) ?? [];
        return [keyword, value];
      }),
    );
    return {
      knownHosts: (values.get("userknownhostsfile") ?? "").split(" ").filter(Boolean),
      hasControlPath: !["none", undefined].includes(values.get("controlpath")),
    };
  }

  /** Whether a connection of the user's own is open, which was checked and logged in when it was made. */
  async #hasMaster(settings: readonly string[]): Promise<boolean> {
    if (this.options.trust.fingerprint !== undefined) return false; // it was not checked for that
    return (await this.#ssh(["-O", "check"], settings)).status === 0;
  }

  async #ssh(args: readonly string[], settings: readonly string[]) {
    const argv = ["ssh", ...args, ...settingArgs(settings), ...accountArgs(this.options)] as const;
    try {
      return await this.#local.run(argv, { accept: [0, SSH_FAILED] });
    } catch (cause) {
      const message = `Cannot reach "${this.label}": ${messageOf(cause)}`;
      const hint = "install OpenSSH's client, or use ssh_transport=builtin";
      throw new UserError("unreachable", message, { hint, cause });
    }
  }

  /** A connection that is made again finds the same again. */
  #say(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.options.say(text);
  }
}

/** The account, without what the user's configuration decides. */
function labelOf({ target }: SshOptions): string {
  const label = accountLabel(target);
  return target.assumed?.includes("user") ? label.slice(target.user.length + 1) : label;
}

/** ssh makes the file with the mode of anything, and no folder. */
async function prepareRecord(file: string): Promise<void> {
  const folder = file.slice(0, file.lastIndexOf("/"));
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  (await Deno.open(file, { append: true, create: true, mode: 0o600 })).close();
}

/** `: SHA256:…` of the key that was recorded last. */
async function lastKey(file: string): Promise<string> {
  const known = parseKnownHosts(await Deno.readTextFile(file).catch(() => ""), file).at(-1);
  return known ? `: ${fingerprint(known.key)}` : "";
}
