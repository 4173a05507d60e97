import { messageOf, UserError } from "../core/errors.ts";
import { type GuestKind, guestLabel } from "../core/guest.ts";
import { CommandError, type CommandOutput, type RunOptions } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { isLostTouch } from "./lost_touch.ts";

/** A guest of this node; `qm` and `pct` know no other nodes. */
export interface GuestId {
  vmid: number;
  kind: GuestKind;
}

/** Milliseconds between two looks at a guest whose state is to change. */
export const POLL_INTERVAL = 500;
/** Milliseconds for a state that was asked for to come true: an HA manager acts within some ten seconds. */
export const STATE_TIMEOUT = 90_000;

/** The tool that knows the guest. */
export const tool = (guest: GuestId): "qm" | "pct" => guest.kind === "qemu" ? "qm" : "pct";

/** Calls `qm` or `pct`; a failure says what was to be done. */
export async function control(
  node: ProxmoxNode,
  guest: GuestId,
  action: string,
  argv: readonly string[],
  { timeout = 120_000, hold }: Pick<RunOptions, "timeout" | "hold"> = {},
): Promise<CommandOutput> {
  try {
    return await node.runner.run([tool(guest), ...argv], { timeout, hold });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new UserError("failed", `Cannot ${action} ${guestLabel(guest)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** `running`, `stopped` or a QEMU run state such as `paused`, read anew from the node. */
export async function guestStatus(node: ProxmoxNode, guest: GuestId): Promise<string> {
  const { stdout } = await control(node, guest, "read the state of", ["status", String(guest.vmid)]);
  return /^status: (\S+)/m.exec(stdout)?.[1] ?? "unknown";
}

/**
 * Shuts the guest down, and stops it hard after `timeout` seconds. A guest that does not run is fine.
 * Settles when the guest is seen stopped: for HA-managed guests the tools only file a request.
 * `hold`: see `JobOptions`.
 */
export async function stopGuest(
  node: ProxmoxNode,
  guest: GuestId,
  timeout: number,
  hold?: string,
): Promise<void> {
  if (await guestStatus(node, guest) === "stopped") return;
  const vmid = String(guest.vmid);
  try {
    const argv = ["shutdown", vmid, "--timeout", String(timeout), "--forceStop", "1"];
    await control(node, guest, "shut down", argv, { timeout: (timeout + 120) * 1000, hold });
  } catch (error) {
    // What was lost sight of may still be shutting down: it must not be stopped hard for that.
    if (!(error instanceof UserError) || isLostTouch(error)) throw error;
    // A paused VM cannot be shut down, and a guest that has just stopped by itself is an error for pct.
    if (await guestStatus(node, guest) === "stopped") return;
    await control(node, guest, "stop", ["stop", vmid], { hold });
  }
  // Of a guest that HA manages all of that time is still to come.
  if (!await reachesStatus(node, guest, "stopped", timeout * 1000 + STATE_TIMEOUT)) {
    throw new UserError("failed", `Cannot stop ${guestLabel(guest)}: it still runs`, {
      hint: "stop it by hand and try again",
    });
  }
}

/** Starts the guest; settles when it is seen running. */
export async function startGuest(node: ProxmoxNode, guest: GuestId): Promise<void> {
  await control(node, guest, "start", ["start", String(guest.vmid)], { timeout: 300_000 });
  if (!await reachesStatus(node, guest, "running")) {
    throw new UserError("failed", `Cannot start ${guestLabel(guest)}: it is not running after the start`);
  }
}

/** Waits at most `limit` milliseconds. */
async function reachesStatus(
  node: ProxmoxNode,
  guest: GuestId,
  wanted: string,
  limit = STATE_TIMEOUT,
): Promise<boolean> {
  const deadline = performance.now() + limit;
  for (;;) {
    if (await guestStatus(node, guest) === wanted) return true;
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}

/** Stops the guest at once, without a word to it; one that does not run is fine. Settles when it is seen stopped. */
export async function stopHard(node: ProxmoxNode, guest: GuestId): Promise<void> {
  if (await guestStatus(node, guest) === "stopped") return;
  await control(node, guest, "stop", ["stop", String(guest.vmid)]);
  if (!await reachesStatus(node, guest, "stopped")) {
    throw new UserError("failed", `Cannot stop ${guestLabel(guest)}: it still runs`);
  }
}

/** Removes a guest. Never with `--purge`: jobs, replication and HA entries may belong to the next guest of that id. */
export async function destroyGuest(node: ProxmoxNode, guest: GuestId): Promise<void> {
  await control(node, guest, "remove", ["destroy", String(guest.vmid)]);
}
