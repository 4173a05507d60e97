import { messageOf, UserError } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import { CommandError, type Runner } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { type GuestId, tool } from "./guest_control.ts";

/** What every vzdump of a node holds while it works (pve-manager, PVE/VZDump.pm). */
const VZDUMP_LOCK = "/var/run/vzdump.lock";

// Looks without taking the lock: a vzdump with lockwait 0 that starts in this moment would fail.
const IS_HELD = `inode=$(stat -L -c %i -- "$1" 2>/dev/null) || exit 1
grep -qE "FLOCK .*:$inode " /proc/locks
`;

/** Whether a vzdump is at work on the node, ours or not. */
export async function isVzdumpRunning(runner: Runner, lockFile = VZDUMP_LOCK): Promise<boolean> {
  const { status } = await runner.run(["sh", "-c", IS_HELD, "lock", lockFile], { accept: [0, 1] });
  return status === 0;
}

const RUNNING = 75;
const NOT_LOCKED = 76;

// vzdump takes its lock before it locks a guest, so nobody locks one for a backup while we hold it. A file that is
// not there was never locked.
const UNLOCK = `if [ -e "$1" ]; then
  exec 9<>"$1"
  flock --nonblock --exclusive 9 || exit ${RUNNING}
fi
"$2" config "$3" 9>&- | grep -qx 'lock: backup' || exit ${NOT_LOCKED}
exec "$2" unlock "$3"
`;

/**
 * Removes the lock that a killed vzdump left in a guest's configuration, under the node's vzdump lock.
 *
 * @throws {UserError} when a vzdump is at work, or the guest is not locked for a backup (any more)
 */
export async function removeBackupLock(
  node: ProxmoxNode,
  guest: GuestId,
  lockFile = VZDUMP_LOCK,
): Promise<void> {
  const argv = ["sh", "-c", UNLOCK, "unlock", lockFile, tool(guest), String(guest.vmid)] as const;
  try {
    await node.runner.run(argv);
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause;
    const why = cause.end.status === RUNNING
      ? "a vzdump is at work on its node"
      : cause.end.status === NOT_LOCKED
      ? "it is not locked for a backup any more"
      : messageOf(cause);
    throw new UserError("failed", `Cannot unlock ${guestLabel(guest)}: ${why}`, { cause });
  }
}
