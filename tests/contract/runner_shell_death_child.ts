import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { shellChannels } from "./faulty_channels.ts";
import { live, SHORT_LIMITS } from "./runner_life.ts";

await live(new ShellRunner(shellChannels(), { limits: SHORT_LIMITS }));
