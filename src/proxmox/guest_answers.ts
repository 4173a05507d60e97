import { type ConfigValues, parseProperties } from "../archive/guest_config.ts";
import { CommandError } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import type { GuestId } from "./guest_control.ts";

/** Milliseconds for one question to a guest. */
const ANSWER_TIMEOUT = 30_000;

/** Whether a VM is set up for the guest agent: `agent: 1`, `agent: enabled=1,type=virtio`. */
export function hasAgent(config: ConfigValues): boolean {
  const { enabled } = parseProperties(config.agent ?? "0", "enabled");
  return /^(1|on|yes|true)$/i.test(enabled ?? "0");
}

/**
 * Whether the guest itself answers: a VM by its agent, a container by running a command in it. Rejects only when
 * the question could not be asked.
 */
export async function guestAnswers(node: ProxmoxNode, { vmid, kind }: GuestId): Promise<boolean> {
  const argv = kind === "qemu"
    ? ["qm", "agent", String(vmid), "ping"] as const
    : ["pct", "exec", String(vmid), "--", "/bin/true"] as const;
  try {
    await node.runner.run(argv, { timeout: ANSWER_TIMEOUT });
    return true;
  } catch (error) {
    const isNo = error instanceof CommandError && ["status", "timeout"].includes(error.reason);
    if (!isNo) throw error;
    return false;
  }
}
