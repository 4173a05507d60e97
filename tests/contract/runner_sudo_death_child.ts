import { shellChannels } from "./faulty_channels.ts";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { live, SHORT_LIMITS } from "./runner_life.ts";
await live(new ShellRunner(shellChannels(), { sudo: true, limits: SHORT_LIMITS }));
