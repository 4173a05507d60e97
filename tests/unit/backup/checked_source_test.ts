import assert from "node:assert/strict";
import type { ArchiveCheck, ArchiveContents } from "../../../src/archive/contents.ts";
import { checkArchive } from "../../../src/archive/check.ts";
import { CheckedSource } from "../../../src/backup/checked_source.ts";
import type { ByteSource } from "../../../src/core/bytes.ts";
import { buildVma } from "../archive/vma_bytes.ts";
import { SOURCE_KINDS, testBytes, TestSource } from "../core/test_source.ts";

const CONTENTS: ArchiveContents = {
  kind: "qemu",
  format: "vma",
  compression: "none",
  bytes: 0,
  depth: "contents",
};
const NO_LIMIT = { stallTimeout: 600_000, onBytes: () => {} };

/** A check that takes everything and remembers what it saw. */
class TakingCheck implements ArchiveCheck {
  readonly seen: number[] = [];
  readonly cancels: unknown[] = [];
  constructor(private readonly failure: { push?: Error; end?: Error } = {}) {}
  push(chunk: Uint8Array): void {
    if (this.failure.push) throw this.failure.push;
    this.seen.push(...chunk);
  }
  end(): Promise<ArchiveContents> {
    return this.failure.end ? Promise.reject(this.failure.end) : Promise.resolve(CONTENTS);
  }
  cancel(reason: unknown): Promise<void> {
    this.cancels.push(reason);
    return Promise.resolve();
  }
}

async function readAll(source: ByteSource): Promise<number[]> {
  const bytes: number[] = [];
  let buffer = new ArrayBuffer(4096);
  for (;;) {
    const chunk = await source.read(new Uint8Array(buffer));
    if (chunk.byteLength === 0) return bytes;
    bytes.push(...chunk);
    buffer = chunk.buffer;
  }
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
const view = () => new Uint8Array(new ArrayBuffer(16));

for (const [kind, options] of [...SOURCE_KINDS, ["single bytes", { chunk: 1, transfers: true }]] as const) {
  Deno.test(`CheckedSource hands ${kind} through unchanged, counts them and shows them to the check`, async () => {
    const bytes = testBytes(10_000);
    const check = new TakingCheck();
    const source = new CheckedSource(new TestSource(bytes, options), check, NO_LIMIT);
    assert.deepEqual(await readAll(source), [...bytes]);
    assert.deepEqual(check.seen, [...bytes]);
    assert.equal(source.bytes, 10_000);
    assert.equal(source.contents, CONTENTS);
  });
}

Deno.test("CheckedSource knows the contents of a real archive at its end, not before", async () => {
  const bytes = buildVma({ configs: [{ name: "qemu-server.conf", data: "name: web\n" }] });
  const source = new CheckedSource(
    new TestSource(bytes, { chunk: 1000 }),
    checkArchive({ kind: "qemu" }),
    NO_LIMIT,
  );
  assert.throws(() => source.contents, /not read to its end/);
  await readAll(source);
  assert.equal(source.contents.config, "name: web\n");
  assert.equal(source.contents.bytes, bytes.byteLength);
});

Deno.test("CheckedSource answers no good end for an archive that was cut", async () => {
  const bytes = buildVma({}).subarray(0, -1);
  const source = new CheckedSource(new TestSource(bytes), checkArchive({ kind: "qemu" }), NO_LIMIT);
  await assert.rejects(readAll(source), { name: "ArchiveDamage" });
  assert.throws(() => source.contents);
});

Deno.test("CheckedSource answers no good end for a producer that ended well without a byte", async () => {
  const source = new CheckedSource(
    new TestSource(new Uint8Array(0)),
    checkArchive({ kind: "qemu" }),
    NO_LIMIT,
  );
  await assert.rejects(readAll(source), /empty/);
});

Deno.test("CheckedSource rejects with what the producer or the check says", async () => {
  const failed = new Error("vzdump failed");
  const late = new TestSource(testBytes(10), { failAt: 10, error: failed });
  await assert.rejects(readAll(new CheckedSource(late, new TakingCheck(), NO_LIMIT)), failed);

  const bad = new Error("no archive");
  for (const failure of [{ push: bad }, { end: bad }]) {
    const source = new CheckedSource(new TestSource(testBytes(10)), new TakingCheck(failure), NO_LIMIT);
    await assert.rejects(readAll(source), bad);
  }
});

Deno.test("CheckedSource waits for a check that is slow", async () => {
  const order: string[] = [];
  const check = new TakingCheck();
  check.push = () => pause(5).then(() => void order.push("checked")) as unknown as void;
  const source = new CheckedSource(new TestSource(testBytes(3), { chunk: 1 }), check, NO_LIMIT);
  for (let index = 0; index < 3; index++) {
    await source.read(view());
    order.push("read");
  }
  assert.deepEqual(order, ["checked", "read", "checked", "read", "checked", "read"]);
  await source.cancel("done");
});

Deno.test("CheckedSource cancels producer and check, once, for the first reason", async () => {
  const inner = new TestSource(testBytes(10));
  const check = new TakingCheck();
  const source = new CheckedSource(inner, check, NO_LIMIT);
  await Promise.all([source.cancel("first"), source.cancel("second")]);
  await source.cancel("third");
  assert.deepEqual([inner.cancels, check.cancels], [["first"], ["first"]]);
  await assert.rejects(source.read(view()), (error) => error === "first");
});

/** A source whose read waits until the test lets it settle. */
class HeldSource implements ByteSource {
  settle: { resolve(chunk: Uint8Array<ArrayBuffer>): void; reject(error: unknown): void } | undefined;
  read(): Promise<Uint8Array<ArrayBuffer>> {
    return new Promise((resolve, reject) => this.settle = { resolve, reject });
  }
  cancel(): Promise<void> {
    return Promise.resolve();
  }
}

Deno.test("CheckedSource rejects a waiting read with the reason of the cancel, however the producer ends", async () => {
  const reason = new Error("Interrupted by SIGINT");
  const ends: ((held: HeldSource) => void)[] = [
    (held) => held.settle?.reject(new Error("vzdump was stopped")),
    (held) => held.settle?.resolve(view().subarray(0, 3)),
    (held) => held.settle?.resolve(view().subarray(0, 0)),
  ];
  for (const end of ends) {
    const held = new HeldSource();
    const source = new CheckedSource(held, new TakingCheck(), NO_LIMIT);
    const read = assert.rejects(source.read(view()), (error) => error === reason);
    await source.cancel(reason);
    end(held);
    await read;
    assert.throws(() => source.contents, "a cancelled dump counted as whole");
  }
});

Deno.test("CheckedSource ends a dump whose reader takes no byte for the stall timeout", async () => {
  const inner = new TestSource(testBytes(100));
  const check = new TakingCheck();
  const source = new CheckedSource(inner, check, { ...NO_LIMIT, stallTimeout: 30 });
  await source.read(view());
  for (let waited = 0; inner.cancels.length === 0 && waited < 500; waited++) await pause(10);
  assert.equal(check.cancels.length, 1);
  await assert.rejects(source.read(view()), /target took no byte for 0 seconds; the dump was ended/);
});

Deno.test("CheckedSource does not blame the reader while the producer is slow", async () => {
  const inner = new TestSource(testBytes(3), { chunk: 1, pause: () => pause(60) });
  const source = new CheckedSource(inner, new TakingCheck(), { ...NO_LIMIT, stallTimeout: 20 });
  assert.equal((await readAll(source)).length, 3);
  assert.deepEqual(inner.cancels, []);
});

Deno.test("CheckedSource bears a producer that cannot be cancelled after a stall", async () => {
  const inner = new TestSource(testBytes(100));
  inner.cancel = () => Promise.reject(new Error("vzdump does not end"));
  const source = new CheckedSource(inner, new TakingCheck(), { ...NO_LIMIT, stallTimeout: 10 });
  await source.read(view());
  await pause(50); // an unhandled rejection here would end the whole run
  await assert.rejects(source.read(view()), /took no byte/);
});

Deno.test("CheckedSource tells of bytes from the first chunk on, but not of each", async () => {
  const told: number[] = [];
  const options = { stallTimeout: 600_000, onBytes: (bytes: number) => void told.push(bytes) };
  const source = new CheckedSource(new TestSource(testBytes(5000), { chunk: 1 }), new TakingCheck(), options);
  await readAll(source);
  assert.equal(told[0], 1);
  assert.ok(told.length < 1000, `${told.length} calls`);
});
