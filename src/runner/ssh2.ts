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

/**
 * Reaches a node by ssh2: one connection, made at the first `open`, shared by all channels, and made anew by the
 * next `open` after it was lost.
 */
export class Ssh2Channels implements Channels {
  readonly label: string;
  readonly #options: SshOptions;
  readonly #said = new Set<string>();
  #connection: Promise<SshConnection> | undefined;
  #slots = new ChannelSlots();
  #isClosed = false;

  constructor(options: SshOptions) {
    this.label = accountLabel(options.target);
    this.#options = { ...options, say: (text) => this.#sayOnce(text, options.say) };
  }

  async open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    for (;;) {
      const connection = await this.#connected();
      await connection.slots.take();
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
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  async #connected(): Promise<SshConnection> {
    if (this.#isClosed) {
      throw new UserError(
        "unreachable",
        `Cannot open a channel to "${this.label}": the connection was closed`,
      );
    }
    return await (this.#connection ??= this.#connect());
  }

  async #connect(): Promise<SshConnection> {
    try {
      // What the node was found to take holds for the next connection too.
      this.#slots = new ChannelSlots(this.#slots.limit);
      const connection = await SshConnection.open(this.#options, LIBRARY, this.#slots);
      void connection.gone.then(() => this.#connection = undefined);
      return connection;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
  }

  /** A connection that is made again finds the same again. */
  #sayOnce(text: string, say: (text: string) => void): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    say(text);
  }
}
