/** Every promise of a runner, kept over a real sshd by ssh2. */
import { Ssh2Channels } from "../../src/runner/ssh2.ts";
import { sshContract } from "./contract.ts";

sshContract("ssh2", (options) => new Ssh2Channels(options), { sanitizeResources: false });
