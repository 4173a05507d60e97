import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { shellChannels } from "./faulty_channels.ts";
import { runnerContract } from "./runner_contract.ts";

runnerContract("shell", (limits) => {
  const runner = new ShellRunner(shellChannels(), limits ? { limits } : {});
  return Promise.resolve({ runner, close: () => runner.close(), closesPipes: true });
});
