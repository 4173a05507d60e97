/** Every promise of a runner, kept over a real sshd by the system's ssh. */
import { OpensshChannels } from "../../src/runner/openssh.ts";
import { sshContract } from "./contract.ts";

sshContract("openssh", (options) => new OpensshChannels(options));
