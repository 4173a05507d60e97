import type { ByteSource } from "../../core/bytes.ts";
import { enlargePipesOf } from "../../core/pipe_size.ts";
import { messageOf, UserError } from "../../core/errors.ts";
import { LINGER } from "../child_streams.ts";
import { LogTail } from "../log_tail.ts";
import { inPieces } from "../pieces.ts";
import { PipeSource } from "../pipe_source.ts";
import { spawn } from "../spawn.ts";
import type { Channel, ChannelEnd, Channels } from "./channel.ts";

/** A way to a node by a program of this machine that takes a command line as its last argument. */
export interface ChildChannelsOptions {
  /** See `Channels.label`. */
  label: string;
  /** The program and all its arguments before the command line: `["ssh", "--", "root@pve1"]`. */
  argv: readonly [string, ...string[]];
  /** Variables over our own environment. */
  env?: Readonly<Record<string, string>>;
  /**
   * Whether `close` ends the program: one that only carries the command must not go on when its channel is given
   * up. `false` where the program is the command itself.
   */
  killOnClose: boolean;
  /**
   * What the end of the program tells when it may not be the command's own: an error when the node was not reached or
   * the way to it was lost, `undefined` when the status is the command's. `stderr` is its last lines, as a `LogTail` keeps them.
   */
  explain?: (status: number, stderr: string) => Error | undefined;
}

/** Channels that are children of ours. */
export class ChildChannels implements Channels {
  readonly label: string;
  readonly #open = new Set<ChildChannel>();

  constructor(readonly options: ChildChannelsOptions) {
    this.label = options.label;
  }

  open(command: string, onStderr: (chunk: Uint8Array) => void): Promise<Channel> {
    const { argv, env } = this.options;
    try {
      const stdio = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
      const child = spawn([...argv, command], { ...env && { env }, ...stdio });
      enlargePipesOf(child.pid);
      const channel = new ChildChannel(child, this.options, onStderr);
      this.#open.add(channel);
      child.status.then(() => this.#open.delete(channel));
      return Promise.resolve(channel);
    } catch (cause) {
      const message = `Cannot reach "${this.label}": "${argv[0]}" cannot be started (${messageOf(cause)})`;
      return Promise.reject(new UserError("unreachable", message, { cause }));
    }
  }

  /** Waits a moment for what was open to end by itself. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((channel) => channel.letGo()));
  }
}

class ChildChannel implements Channel {
  readonly output: ByteSource;
  readonly ended: Promise<ChannelEnd>;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stderr: ReadableStreamDefaultReader<Uint8Array>;
  readonly #closed = Promise.withResolvers<ChannelEnd>();
  #exited = false;

  constructor(
    readonly child: Deno.ChildProcess,
    readonly options: Pick<ChildChannelsOptions, "label" | "killOnClose" | "explain">,
    onStderr: (chunk: Uint8Array) => void,
  ) {
    this.output = new PipeSource(child.stdout);
    this.#stdin = child.stdin.getWriter();
    this.#stdin.closed.catch(() => {}); // told by `write` and `closeInput`
    this.#stderr = child.stderr.getReader();
    this.ended = Promise.race([this.#awaitEnd(onStderr), this.#closed.promise]);
  }

  write(chunk: Uint8Array): Promise<void> {
    return inPieces(chunk, (piece) => this.#stdin.write(piece));
  }

  closeInput(): Promise<void> {
    return this.#stdin.close();
  }

  close(): void {
    this.#closed.resolve({ lost: new Error(`the channel to "${this.options.label}" was closed`) });
    if (this.options.killOnClose && !this.#exited) this.child.kill("SIGKILL");
    // At the other end of a pipe, an abort is an end like any other.
    void this.#stdin.abort().catch(() => {});
    void this.output.cancel("closed");
    void this.#stderr.cancel();
    this.child.unref();
  }

  async letGo(): Promise<void> {
    this.close();
    this.child.ref();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise<void>((resolve) => timer = setTimeout(resolve, LINGER));
    await Promise.race([this.child.status, enough]);
    clearTimeout(timer);
    this.child.unref();
  }

  async #awaitEnd(onStderr: (chunk: Uint8Array) => void): Promise<ChannelEnd> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.child.status.then(() => {
      this.#exited = true;
      timer = setTimeout(() => void this.#stderr.cancel(), LINGER);
    });
    const tail = new LogTail();
    for (;;) {
      const { value, done } = await this.#stderr.read();
      if (done) break;
      tail.push(value);
      onStderr(value);
    }
    const { code } = await this.child.status;
    clearTimeout(timer);
    tail.end();
    const lost = this.options.explain?.(code, tail.toString());
    return lost ? { lost } : { status: code };
  }
}
