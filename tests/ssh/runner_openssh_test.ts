/** Every promise of a runner, kept over a real sshd by the system's ssh. */
import { OpensshChannels } from "../../src/runner/openssh.ts";
import { sshContract } from "./contract.ts";

// OpenSSH's two sides can close a command's stdout alone (eow@openssh.com in its PROTOCOL file).
sshContract("openssh", (options) => new OpensshChannels(options), { closesPipes: true });
