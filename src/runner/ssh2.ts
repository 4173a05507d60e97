// @ts-types="./ssh/ssh2.d.ts"
import ssh2 from "ssh2";
import { UserError } from "../core/errors.ts";
import type { Channel, Channels } from "./remote/channel.ts";
import type { SshOptions } from "./remote/ssh_target.ts";
import { ChannelSlots } from "./ssh/channel_slots.ts";
import { SshConnection } from "./ssh/connection.ts";
import type { Library } from "./ssh/library.ts";
import { accountLabel } from "./ssh/names.ts";

/** ssh2's parts under the names that we use. */
export const LIBRARY: Library = {
  Client: ssh2.Client,
  BaseAgent: ssh2.BaseAgent,
  createAgent: ssh2.createAgent,
  parseKey: ssh2.utils.parseKey,
};

/** Connections that may be open at once: enough for a run where sshd takes a single session on each. */
const MAX_CONNECTIONS = 8;

/**
 * Reaches a node by ssh2: one connection, made at the first `open`, shared by all channels, and made anew by the
 * next `open` after it was lost. Where the node takes fewer sessions on it than a run holds for long (sshd's
 * MaxSessions), there are several: waiting for one of those would have no end.
 */
export class Ssh2Channels implements Channels {
  readonly label: string;
  readonly #options: SshOptions;
  readonly #said = new Set<string>();
  readonly #connections: Promise<SshConnection>[] = [];
  #slots = new ChannelSlots();
  #isClosed = false;

  constructor(options: SshOptions) {
    this.label = accountLabel(options.target);
    this.#options = { ...options, say: (text) => this.#sayOnce(text, options.say) };
  }

  async open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    for (;;) {
      const connection = await this.#withRoom();
      if (connection.lost) {
        connection.slots.free();
        continue;
      }
      const channel = await connection.open(command, onStderr);
      if (channel) return channel;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const made = await Promise.allSettled(this.#connections);
    await Promise.all(made.map((one) => one.status === "fulfilled" && one.value.close()));
  }

  /** A connection with room for one channel more, which is taken. */
  async #withRoom(): Promise<SshConnection> {
    if (this.#isClosed) {
      throw new UserError(
        "unreachable",
        `Cannot open a channel to "${this.label}": the connection was closed`,
      );
    }
    // Those that others add meanwhile are looked at too.
    for (const made of this.#connections) {
      const connection = await made;
      if (connection.slots.takeNow()) return connection;
    }
    const [first] = this.#connections;
    const connection = await (first && this.#connections.length >= MAX_CONNECTIONS ? first : this.#connect());
    await connection.slots.take();
    return connection;
  }

  #connect(): Promise<SshConnection> {
    // What the node was found to take holds for the next connection too.
    this.#slots = new ChannelSlots(this.#slots.limit);
    const made = SshConnection.open(this.#options, LIBRARY, this.#slots);
    this.#connections.push(made);
    const forget = () => {
      const at = this.#connections.indexOf(made);
      if (at >= 0) this.#connections.splice(at, 1);
    };
    made.then((connection) => connection.gone.then(forget), forget);
    return made;
  }

  /** A connection that is made again finds the same again. */
  #sayOnce(text: string, say: (text: string) => void): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    say(text);
  }
}
