import { connect, type Socket } from "node:net";
import { messageOf, UserError } from "../../core/errors.ts";
import type { SshOptions } from "../remote/ssh_target.ts";
import type { ChannelSlots } from "./channel_slots.ts";
import { CommandChannel } from "./command_channel.ts";
import { Handshake, isAboutLogin } from "./handshake.ts";
import { HostKeyCheck } from "./host_key_check.ts";
import type { Library, LibraryClient, LibraryError } from "./library.ts";
import { Login } from "./login.ts";
import { accountLabel } from "./names.ts";

/** Milliseconds that a node may take to say goodbye. */
const GOODBYE_TIMEOUT = 1_000;

/** One connection to a node, logged in. */
export class SshConnection {
  readonly #client: LibraryClient;
  readonly #channels = new Set<CommandChannel>();
  readonly #socket: Socket;
  readonly #gone = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  #lost: UserError | undefined;

  /**
   * Connects, checks the host key and logs in.
   *
   * @throws {UserError} of kind `unreachable`, or `usage` for files that cannot be used
   */
  static async open(options: SshOptions, library: Library, slots: ChannelSlots): Promise<SshConnection> {
    const home = Deno.env.get("HOME");
    const hostKeys = await HostKeyCheck.prepare(options, home);
    const login = new Login(options, { library, home, mayHavePassword: () => hostKeys.isKnown });
    const client = new library.Client();
    const { host, port } = options.target;
    const socket = connect({ host, port });
    // Deno 2.7 takes no notice of connect's own "noDelay"; without it each small message waits some 40 ms.
    socket.once("connect", () => socket.setNoDelay(true));
    const connection = new SshConnection(client, socket, accountLabel(options.target), slots);
    try {
      await new Handshake(client, socket, options, hostKeys, login).run();
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return connection;
  }

  private constructor(
    client: LibraryClient,
    socket: Socket,
    readonly label: string,
    readonly slots: ChannelSlots,
  ) {
    this.#client = client;
    this.#socket = socket;
    client.on("error", (error) => this.#onError(error));
    client.on("close", () => {
      this.#lose(undefined);
      this.#closed.resolve();
    });
  }

  /** Settles when nothing can be opened here any more. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Why nothing can be opened here any more. */
  get lost(): UserError | undefined {
    return this.#lost;
  }

  /** Starts a command; `undefined` when the node takes no further channel now, while others are open. */
  open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<CommandChannel | undefined> {
    return new Promise((resolve, reject) => {
      const refused = (error: unknown) => {
        if (!this.#lost && isOpenRefusal(error)) {
          if (this.slots.refused()) return resolve(undefined);
        } else this.slots.free();
        reject(this.#lost ?? this.#cannotStart(error));
      };
      try {
        this.#client.exec(command, (error, channel) => {
          if (error) return refused(error);
          const opened = new CommandChannel(channel, this.label, onStderr);
          this.#channels.add(opened);
          void opened.freed.then(() => {
            this.#channels.delete(opened);
            this.slots.free();
          });
          resolve(opened);
        });
      } catch (error) {
        this.#lose(error);
        refused(error);
      }
    });
  }

  /** Says goodbye; whatever is open is lost. */
  async close(): Promise<void> {
    this.#lose(new Error("it was closed"));
    this.#client.end();
    const timer = setTimeout(() => this.#socket.destroy(), GOODBYE_TIMEOUT);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  #onError(error: LibraryError): void {
    if (isAboutLogin(error)) return;
    this.#lose(error.level === "client-timeout" ? new Error("it does not answer any more") : error);
    this.#socket.destroy();
  }

  #lose(reason: unknown): void {
    if (this.#lost) return;
    const why = reason === undefined ? "" : `: ${messageOf(reason)}`;
    this.#lost = new UserError("unreachable", `Lost the connection to "${this.label}"${why}`, {
      hint: "check the node and the network between",
      ...(reason !== undefined && { cause: reason }),
    });
    this.#gone.resolve();
    for (const channel of [...this.#channels]) channel.disconnect(this.#lost);
  }

  #cannotStart(error: unknown): UserError {
    return new UserError("unreachable", `Cannot start a command on "${this.label}": ${messageOf(error)}`, {
      hint: "check MaxSessions and ForceCommand in the node's sshd_config, and the account's login shell",
      cause: error,
    });
  }
}

/** Whether the node refused the channel itself, not what was to run on it (RFC 4254, section 5.1). */
function isOpenRefusal(error: unknown): boolean {
  return (error as LibraryError).reason !== undefined;
}
