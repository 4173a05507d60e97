import type { ByteSource } from "../../src/core/bytes.ts";
import type { Channel, ChannelEnd, Channels } from "../../src/runner/remote/channel.ts";
import { ChildChannels } from "../../src/runner/remote/child_channel.ts";

/** This machine as a node that is reached by channels; `before` is what its login files do. */
export function shellChannels(before = ""): ChildChannels {
  const argv = before === ""
    ? ["/bin/sh", "-c"] as const
    : ["/bin/sh", "-c", `${before}\neval "$1"`, "sh"] as const;
  return new ChildChannels({ label: "root@pve1", argv, killOnClose: false });
}

/** Channels that are lost when told to, or after so many bytes of output or input. */
export class FaultyChannels implements Channels {
  readonly label = "root@pve1";
  readonly #inner = shellChannels();
  readonly #open = new Set<FaultyChannel>();

  constructor(readonly limits: { output?: number; input?: number } = {}) {}

  async open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    const channel = new FaultyChannel(await this.#inner.open(command, onStderr), this.limits);
    this.#open.add(channel);
    return channel;
  }

  /** The connection breaks now. */
  lose(): void {
    for (const channel of this.#open) channel.lose();
    this.#open.clear();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class FaultyChannel implements Channel {
  readonly output: ByteSource;
  readonly ended: Promise<ChannelEnd>;
  readonly #lost = Promise.withResolvers<ChannelEnd>();
  /** Over a network, the end comes behind the last byte. */
  readonly #delivered = Promise.withResolvers<void>();
  #outputLeft: number;
  #inputLeft: number;

  constructor(readonly inner: Channel, limits: { output?: number; input?: number }) {
    this.#outputLeft = limits.output ?? Infinity;
    this.#inputLeft = limits.input ?? Infinity;
    if (limits.output === undefined) this.#delivered.resolve();
    this.ended = Promise.race([this.#lost.promise, this.#delivered.promise.then(() => inner.ended)]);
    this.output = {
      read: (view) => this.#read(view),
      cancel: (reason) => inner.output.cancel(reason),
    };
  }

  lose(): void {
    this.#lost.resolve({ lost: new Error('Lost the connection to "root@pve1": reset by peer') });
    this.inner.close();
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.inner.write(chunk.subarray(0, Math.min(chunk.length, this.#inputLeft)));
    this.#inputLeft -= chunk.length;
    if (this.#inputLeft < 0) this.lose();
  }

  closeInput(): Promise<void> {
    return this.inner.closeInput();
  }

  close(): void {
    this.inner.close();
  }

  async #read(view: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#outputLeft === 0) return view.subarray(0, 0);
    const chunk = await this.inner.output.read(view.subarray(0, Math.min(view.length, this.#outputLeft)));
    this.#outputLeft -= chunk.length;
    if (this.#outputLeft === 0) this.lose();
    if (chunk.length === 0) this.#delivered.resolve();
    return chunk;
  }
}
