import assert from "node:assert/strict";
import { checkArchive, type ExpectedArchive } from "../../../src/archive/check.ts";
import { type ArchiveContents, ArchiveDamage, type DecoderFactory } from "../../../src/archive/contents.ts";
import { type Position, StreamWalk, type Walk } from "../../../src/archive/stream_walk.ts";

/** Runs a command of the test machine; fails the test unless it succeeds. */
export async function run(
  argv: readonly string[],
  input?: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const [name = "", ...args] = argv;
  const child = new Deno.Command(name, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const fed = new Blob([input ?? new Uint8Array(0)]).stream().pipeTo(child.stdin);
  const { success, stdout, stderr } = await child.output();
  await fed;
  assert.ok(success, `${argv.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

/** One of the archives written by Proxmox's own `vma create`. */
export async function golden(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const packed = await Deno.readFile(new URL(`../../fixtures/vma/${name}.vma.zst`, import.meta.url));
  return await run(["zstd", "-dqc"], packed);
}

/** Cuts `bytes` into chunks of `size`; a function gives each chunk its own size. */
export function* chunksOf(
  bytes: Uint8Array<ArrayBuffer>,
  size: number | (() => number),
): Generator<Uint8Array<ArrayBuffer>> {
  for (let start = 0; start < bytes.length;) {
    const end = start + (typeof size === "number" ? size : size());
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** Walks `bytes` to their end; answers the damage, or `undefined` when there is none. */
export function damageOf<Result>(
  walk: (at: Position) => Walk<Result>,
  bytes: Uint8Array<ArrayBuffer>,
  chunkSize = 65536,
): ArchiveDamage | undefined {
  try {
    walked(walk, bytes, chunkSize);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ArchiveDamage, `not an ArchiveDamage: ${error}`);
    return error;
  }
}

/** Walks `bytes` to their end. */
export function walked<Result>(
  walk: (at: Position) => Walk<Result>,
  bytes: Uint8Array<ArrayBuffer>,
  chunkSize: number | (() => number) = 65536,
): Result {
  const stream = new StreamWalk(walk);
  for (const chunk of chunksOf(bytes, chunkSize)) stream.push(chunk);
  return stream.end();
}

/** Checks `bytes` the way a flow does. */
export async function checked(
  expected: ExpectedArchive,
  bytes: Uint8Array<ArrayBuffer>,
  options: { decoder?: DecoderFactory; chunkSize?: number } = {},
): Promise<ArchiveContents> {
  const check = checkArchive(expected, options.decoder);
  for (const chunk of chunksOf(bytes, options.chunkSize ?? 32768)) await check.push(chunk);
  return await check.end();
}

/** The same numbers in each run. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}
