import { ChildChannels } from "../../src/runner/remote/child_channel.ts";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import { live, SHORT_LIMITS } from "./runner_life.ts";

const channels = new ChildChannels({ label: "root@pve1", argv: ["/bin/sh", "-c"], killOnClose: false });
await live(new ShellRunner(channels, { limits: SHORT_LIMITS }));
