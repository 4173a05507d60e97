import type { Channels } from "../../src/runner/remote/channel.ts";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { runnerContract } from "../contract/runner_contract.ts";
import { needsSsh, SshBed } from "./bed.ts";

/**
 * Holds a transport to every promise of a runner, over a real sshd. `sanitizeResources`: whether tests may check that
 * nothing stays open, which the ciphers of ssh2 do until the process ends. `closesPipes`: as in `RunnerUnderTest`.
 */
export function sshContract(
  name: string,
  connect: (options: SshOptions) => Channels,
  { sanitizeResources = true, closesPipes = false } = {},
): void {
  let bed: SshBed;
  const { ignore } = needsSsh();
  if (!ignore) {
    Deno.test.beforeAll(async () => {
      bed = await SshBed.create();
    });
    Deno.test.afterAll(() => bed[Symbol.asyncDispose]());
  }
  registerWith({ ignore, sanitizeResources }, () =>
    runnerContract(name, (limits) => {
      const channels = connect(bed.sshOptions());
      const runner = new ShellRunner(channels, limits ? { limits } : {});
      return Promise.resolve({ runner, close: () => runner.close(), closesPipes });
    }));
}

/** Gives `settings` to all tests that `register` registers. */
function registerWith(settings: Partial<Deno.TestDefinition>, register: () => void): void {
  const { test } = Deno;
  const withSettings = (first: string | Deno.TestDefinition, fn?: () => Promise<void>) => {
    const definition = typeof first === "string" ? { name: first, fn: fn! } : first;
    test({ ...definition, ...settings, ignore: settings.ignore || definition.ignore === true });
  };
  Object.assign(Deno, { test: withSettings });
  try {
    register();
  } finally {
    Object.assign(Deno, { test });
  }
}
