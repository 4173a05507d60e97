/** Client keys and an agent for them. */
import { eventually } from "../plakar/bed.ts";
import { must } from "./command.ts";
import type { Undo } from "./undo.ts";

export interface KeySpec {
  /** Default `ed25519`. */
  type?: "ed25519" | "rsa" | "ecdsa";
  bits?: number;
  /** Encrypts the file. */
  passphrase?: string;
  /** Default: OpenSSH's own. */
  format?: "PEM" | "PKCS8";
  /** Whether sshd takes it; default true. */
  authorized?: boolean;
}

/** Makes a key pair at `path` and `path`.pub. */
export async function makeKey(path: string, spec: KeySpec = {}): Promise<void> {
  const options = [
    ...(spec.bits ? ["-b", String(spec.bits)] : []),
    ...(spec.format ? ["-m", spec.format] : []),
  ];
  const { type = "ed25519", passphrase = "" } = spec;
  await must("ssh-keygen", ["-q", "-t", type, ...options, "-N", passphrase, "-C", "test", "-f", path]);
}

/** Starts an ssh-agent that holds the keys at `paths`; answers its socket. */
export async function startAgent(dir: string, undo: Undo, paths: string[]): Promise<string> {
  const socket = `${dir}/agent-${crypto.randomUUID().slice(0, 8)}`;
  const said = await must("ssh-agent", ["-s", "-a", socket]);
  const pid = /SSH_AGENT_PID=(\d+)/.exec(said)![1]!;
  await undo.add("kill", pid);
  await eventually("the agent listens", () => Deno.statSync(socket).isSocket === true);
  for (const path of paths) {
    await must("env", [`SSH_AUTH_SOCK=${socket}`, "ssh-add", "-q", path]);
  }
  return socket;
}
