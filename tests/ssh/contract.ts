import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import type { Channels } from "../../src/runner/remote/channel.ts";
import type { SshOptions } from "../../src/runner/remote/ssh_target.ts";
import { runnerContract } from "../contract/runner_contract.ts";
import { needsSsh, SshBed } from "./bed.ts";

/** Holds a transport to every promise of a runner, over a real sshd; one connection serves all tests. */
export function sshContract(name: string, connect: (options: SshOptions) => Channels): void {
  if (needsSsh().ignore) return;
  let bed: SshBed;
  let channels: Channels;
  Deno.test.beforeAll(async () => {
    bed = await SshBed.create();
    channels = connect(bed.sshOptions());
    const channel = await channels.open("true", () => {});
    await channel.ended;
    channel.close();
  });
  Deno.test.afterAll(async () => {
    await channels.close();
    await bed[Symbol.asyncDispose]();
  });
  runnerContract(name, (limits) => {
    const runner = new ShellRunner(channels, limits ? { limits } : {});
    return Promise.resolve({ runner, close: () => Promise.resolve() });
  });
}
