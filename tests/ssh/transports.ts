/** What the tests of both transports share. */
import assert from "node:assert/strict";
import { messageOf, UserError } from "../../src/core/errors.ts";
import { OpensshChannels } from "../../src/runner/openssh.ts";
import type { Channels } from "../../src/runner/remote/channel.ts";
import { ShellRunner, type ShellRunnerOptions } from "../../src/runner/remote/shell_runner.ts";
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { Ssh2Channels } from "../../src/runner/ssh2.ts";
import { needsSsh } from "./bed.ts";

export interface Transport {
  name: "openssh" | "ssh2";
  connect: (options: SshOptions) => Channels;
  /** Ciphers of ssh2 stay open until the process ends. */
  sanitizeResources: boolean;
}

export const TRANSPORTS: readonly Transport[] = [
  { name: "openssh", connect: (options) => new OpensshChannels(options), sanitizeResources: true },
  { name: "ssh2", connect: (options) => new Ssh2Channels(options), sanitizeResources: false },
];

/** Registers a test for each transport; `programs` are those that it needs besides ssh and sshd. */
export function forEachTransport(
  what: string,
  test: (transport: Transport) => Promise<void>,
  ...programs: string[]
): void {
  for (const transport of TRANSPORTS) {
    const { name, sanitizeResources } = transport;
    Deno.test({
      name: `${name} ${what}`,
      ...needsSsh(...programs),
      sanitizeResources,
      fn: () => test(transport),
    });
  }
}

/** Runs `use` with a runner, and closes it. */
export async function withRunner<T>(
  { connect }: Transport,
  options: SshOptions,
  use: (runner: ShellRunner) => Promise<T>,
  runnerOptions: ShellRunnerOptions = {},
): Promise<T> {
  const runner = new ShellRunner(connect(options), runnerOptions);
  try {
    return await use(runner);
  } finally {
    await runner.close();
  }
}

/** The sentence of the refusal that reaching a node ends with. */
export async function refusal(transport: Transport, options: SshOptions): Promise<string> {
  const error = await withRunner(transport, options, (runner) => runner.run(["true"]))
    .then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError, `a UserError was expected, not ${Deno.inspect(error)}`);
  assert.equal(error.kind, "unreachable");
  return messageOf(error);
}
