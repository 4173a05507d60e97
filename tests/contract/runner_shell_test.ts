import { ChildChannels } from "../../src/runner/remote/child_channel.ts";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { runnerContract } from "./runner_contract.ts";

runnerContract("shell", (limits) => {
  const channels = new ChildChannels({ label: "root@pve1", argv: ["/bin/sh", "-c"], killOnClose: false });
  const runner = new ShellRunner(channels, limits ? { limits } : {});
  return Promise.resolve({ runner, close: () => runner.close() });
});
