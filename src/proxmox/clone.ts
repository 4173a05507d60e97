import { UserError } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import type { CommandEnd } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { control, type GuestId, tool } from "./guest_control.ts";
import { lastError } from "./vzdump.ts";

export interface CloneRequest {
  source: GuestId;
  /** A free vmid. The tools refuse one that was taken meanwhile. */
  newid: number;
  /** Hostname for the copy of a container; a VM's is called "Copy-of-VM-…" by Proxmox itself. */
  hostname?: string | undefined;
  /** Directory for the log, see `JobOptions`. */
  logDir: string;
  /** See `JobOptions.hold`. */
  hold: string;
  onPercent: (percent: number) => void;
}

/** The call that copies all volumes of a guest into a new one, which gets MAC addresses and a uuid of its own. */
export function cloneArgv({ source, newid, hostname }: CloneRequest): [string, ...string[]] {
  const argv: [string, ...string[]] = [
    tool(source),
    "clone",
    String(source.vmid),
    String(newid),
    "--full",
    "1",
  ];
  if (hostname !== undefined) argv.push("--hostname", hostname);
  return argv;
}

/**
 * Copies a stopped guest whole, without its snapshots. A clone that fails removes itself (qemu-server's API2/Qemu.pm and pve-container's API2/LXC.pm, clone_vm).
 *
 * @throws {UserError} of kind `unreachable` when the way to the node was lost meanwhile: the tool goes on
 */
export async function cloneGuest(node: ProxmoxNode, request: CloneRequest): Promise<void> {
  const { source, logDir, hold, onPercent } = request;
  const onLog = (line: string) => {
    const percent = clonePercentOf(line);
    if (percent !== undefined) onPercent(percent);
  };
  const end = await node.runner.finish(cloneArgv(request), { logDir, hold, onLog });
  if (end.status !== 0) throw cloneFailure(node, source, end);
}

/** Has the node not start the guest when it boots. */
export async function startNotAtBoot(node: ProxmoxNode, guest: GuestId): Promise<void> {
  await control(node, guest, "turn off the start at boot of", ["set", String(guest.vmid), "--onboot", "0"]);
}

function cloneFailure(node: ProxmoxNode, source: GuestId, { status, logTail }: CommandEnd): UserError {
  if (status < 0) {
    const why = /\[(.*)\]\s*$/.exec(logTail)?.[1] ?? `Lost touch with ${node.runner.label}`;
    return new UserError("unreachable", why);
  }
  const reason = lastError(logTail) ?? `the tool ended with status ${status}`;
  return new UserError("failed", `Cannot copy ${guestLabel(source)}: ${reason}`);
}

/** qm's progress out of one of its log lines: `transferred 1.0 GiB of 4.0 GiB (25.31%)`. */
export function clonePercentOf(line: string): number | undefined {
  const found = /^transferred .* \((\d+)(?:\.\d+)?%\)/.exec(line);
  return found ? Math.min(100, Number(found[1])) : undefined;
}
