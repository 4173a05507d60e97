import { LocalRunner } from "../../src/runner/local.ts";
import { runnerContract } from "./runner_contract.ts";

runnerContract("local", (limits) => {
  return Promise.resolve({
    runner: new LocalRunner(limits ? { limits } : {}),
    close: () => Promise.resolve(),
  });
});
