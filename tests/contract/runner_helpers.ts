import assert from "node:assert/strict";
import type { ByteSource } from "../../src/core/bytes.ts";
import type { JobLimits } from "../../src/runner/guard.ts";
import { type Argv, CommandError, type Runner } from "../../src/runner/runner.ts";

/** A runner of the kind under test, whose node is this machine. */
export interface RunnerUnderTest {
  runner: Runner;
  close(): Promise<void>;
  /** A job's stdout can be closed alone: how the job ends then is known. */
  closesPipes?: boolean;
}

export type MakeRunner = (limits?: Partial<JobLimits>) => Promise<RunnerUnderTest>;

/** What a test gets: a runner, a directory of its own, and a writer of programs in there. */
export interface Bench extends Pick<RunnerUnderTest, "runner" | "closesPipes"> {
  dir: string;
  /** Writes an executable sh script and answers the command that runs it. */
  script(text: string): Promise<Argv>;
}

/** Runs `test` with a fresh runner and directory, and cleans up. */
export async function withBench(
  make: MakeRunner,
  test: (bench: Bench) => Promise<void>,
  limits?: Partial<JobLimits>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "runner-test-" });
  const { close, ...underTest } = await make(limits);
  try {
    await test({ ...underTest, dir, script: (text) => writeScript(dir, text) });
  } finally {
    await close();
    await Deno.remove(dir, { recursive: true });
  }
}

/** Writes an executable sh script into `dir`. */
export async function writeScript(dir: string, text: string): Promise<Argv> {
  const path = await Deno.makeTempFile({ dir, prefix: "tool-", suffix: ".sh" });
  await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`);
  await Deno.chmod(path, 0o755);
  return [path];
}

/** All bytes of a source, as text. */
export async function readText(source: ByteSource): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const chunk = await source.read(new Uint8Array(32 * 1024));
    if (chunk.length === 0) return text + decoder.decode();
    text += decoder.decode(chunk, { stream: true });
  }
}

/** Number of bytes that a source delivers. */
export async function countBytes(source: ByteSource): Promise<number> {
  let count = 0;
  for (;;) {
    const chunk = await source.read(new Uint8Array(32 * 1024));
    if (chunk.length === 0) return count;
    count += chunk.length;
  }
}

/** The `CommandError` that `promise` rejects with. */
export async function commandError(promise: Promise<unknown>): Promise<CommandError> {
  const error = await promise.then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof CommandError, `a CommandError was expected, not ${Deno.inspect(error)}`);
  return error;
}

/** Waits until `condition` holds; fails after some seconds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 15,
): Promise<void> {
  for (let waited = 0; waited < seconds * 50; waited++) {
    if (await condition()) return;
    await pause(20);
  }
  assert.fail(`did not happen within ${seconds} s: ${what}`);
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A file's text, or "" while there is none. */
export function fileText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Whether a process exists that is not a zombie. */
export function isAlive(pid: number): boolean {
  return /^State:\t[^Z]/m.test(fileText(`/proc/${pid}/status`));
}

/** Pids of the processes of a session, zombies left out. */
export function sessionMembers(session: number): number[] {
  return [...Deno.readDirSync("/proc")]
    .map((entry) => Number(entry.name))
    .filter((pid) => pid > 0 && isAlive(pid) && sessionOf(pid) === session);
}

/** The session of a process, 0 when it is gone. */
export function sessionOf(pid: number): number {
  const stat = fileText(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3] ?? 0);
}
