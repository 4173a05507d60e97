import { Buffer } from "node:buffer";
import { Duplex, PassThrough } from "node:stream";
import assert from "node:assert/strict";
import { CommandChannel } from "../../../../src/runner/ssh/command_channel.ts";
import type { LibraryChannel } from "../../../../src/runner/ssh/library.ts";

/** A channel as ssh2 makes it, with a node that does what the test says. */
class StandInChannel extends Duplex {
  readonly stderr = new PassThrough();
  readonly written: Buffer[] = [];
  closes = 0;
  isInputTaken = true;

  constructor() {
    super({ emitClose: false, autoDestroy: false });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (!this.isInputTaken) return; // no window: ssh2 keeps the callback, for ever when the channel goes
    this.written.push(Buffer.from(chunk));
    done();
  }

  close(): void {
    this.closes++;
  }

  /** The node's end: status or signal, end of both streams, then the close. */
  async finish(status?: number | null, signal?: string): Promise<void> {
    if (status !== undefined) this.emit("exit", status, signal);
    this.push(null);
    this.stderr.end();
    await new Promise((resolve) => setTimeout(resolve, 5));
    this.emit("close");
  }
}

function open(
  onStderr: (chunk: Uint8Array) => void = () => {},
): { node: StandInChannel; channel: CommandChannel } {
  const node = new StandInChannel();
  return { node, channel: new CommandChannel(node as unknown as LibraryChannel, "root@pve1", onStderr) };
}

async function text(channel: CommandChannel): Promise<string> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const chunk = await channel.output.read(new Uint8Array(1024));
    if (chunk.byteLength === 0) return Buffer.concat(parts).toString();
    parts.push(chunk);
  }
}

Deno.test("CommandChannel brings stdout, stderr and the exit status", async () => {
  let stderr = "";
  const { node, channel } = open((chunk) => stderr += new TextDecoder().decode(chunk));
  node.push("one ");
  node.push("two");
  node.stderr.write("a complaint");
  void node.finish(3);
  assert.equal(await text(channel), "one two");
  assert.deepEqual(await channel.ended, { status: 3 });
  assert.equal(stderr, "a complaint");
  await channel.freed;
});

Deno.test("CommandChannel tells a signal as 128 and its number", async () => {
  for (const [signal, status] of [["SIGTERM", 143], ["SIGKILL", 137], ["SIGODD", 128]] as const) {
    const { node, channel } = open();
    void node.finish(null, signal);
    assert.deepEqual(await channel.ended, { status });
  }
});

Deno.test("CommandChannel takes a close without an exit status for lost, and its output for cut", async () => {
  const { node, channel } = open();
  node.push("half of it");
  const reading = text(channel);
  void node.finish();
  const end = await channel.ended;
  assert.ok("lost" in end && /"root@pve1".*without an exit status/.test(end.lost.message));
  await reading.catch(() => {}); // the end of stdout may have come before
});

Deno.test("CommandChannel is lost when the connection goes before the close, though the status was told", async () => {
  const { node, channel } = open();
  node.push("half of it");
  node.emit("exit", 0);
  channel.disconnect(new Error("Lost the connection"));
  const end = await channel.ended;
  assert.ok("lost" in end && end.lost.message === "Lost the connection");
  await assert.rejects(text(channel), /Lost the connection/);
  await channel.freed;
});

Deno.test("CommandChannel tells the end though nobody reads what is left of stdout", async () => {
  const { node, channel } = open();
  for (let piece = 0; piece < 64; piece++) node.push(new Uint8Array(32 * 1024));
  void node.finish(0);
  // As in ssh2: the close comes when all was read.
  assert.deepEqual(await channel.ended, { status: 0 });
  assert.equal((await text(channel)).length, 2 * 1024 * 1024);
});

Deno.test("CommandChannel passes stdin on, and its end after it", async () => {
  const { node, channel } = open();
  const buffer = Uint8Array.from([1, 2, 3]);
  await channel.write(buffer);
  buffer.fill(0);
  await channel.write(new Uint8Array(0));
  const ended = new Promise((resolve) => node.on("finish", resolve));
  await channel.closeInput();
  await ended;
  assert.deepEqual(Buffer.concat(node.written), Buffer.from([1, 2, 3]));
});

Deno.test("CommandChannel rejects a write that waits when the command ends, and those after it", async () => {
  const { node, channel } = open();
  node.isInputTaken = false;
  const waiting = channel.write(new Uint8Array(10));
  const rejected = assert.rejects(waiting, /has ended and takes no more input/);
  void node.finish(0);
  await rejected;
  await assert.rejects(channel.write(new Uint8Array(10)), /has ended/);
  await channel.closeInput(); // there is no input left to end
});

Deno.test("CommandChannel rejects a write that waits when the connection goes", async () => {
  const { node, channel } = open();
  node.isInputTaken = false;
  const waiting = assert.rejects(channel.write(new Uint8Array(10)), /Lost the connection/);
  channel.disconnect(new Error("Lost the connection"));
  await waiting;
  await assert.rejects(channel.closeInput(), /Lost the connection/);
});

Deno.test("CommandChannel gives up at once, and is free only when the node let go", async () => {
  const { node, channel } = open();
  node.push("something");
  await channel.output.cancel(new Error("not wanted"));
  assert.ok("lost" in await channel.ended);
  assert.equal(node.closes, 1);
  let isFree = false;
  void channel.freed.then(() => isFree = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(isFree, false);
  void node.finish(143);
  await channel.freed;
  assert.ok("lost" in await channel.ended, "the end stays as it was told");
});
