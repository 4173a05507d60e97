import { UserError } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { destroyGuest, type GuestId, stopHard, tool } from "../proxmox/guest_control.ts";
import { readSettings } from "../proxmox/guest_settings.ts";
import { foreignVolumes } from "./harmless.ts";
import { runOf } from "./mark.ts";

/**
 * Stops and removes a guest that the run `run` made for its test; its configuration, read anew, must say so.
 *
 * @throws {UserError} when it is not marked as that run's, or holds a volume of another guest
 */
export async function removeMarked(node: ProxmoxNode, guest: GuestId, run: string): Promise<void> {
  const refuse = (why: string) => new UserError("failed", `Cannot remove ${guestLabel(guest)}: ${why}`);
  const config = await readSettings(node, guest);
  if (runOf(config) !== run) throw refuse("it does not carry the mark of this restore test");
  const [foreign] = foreignVolumes(guest.kind, config, guest.vmid);
  if (foreign !== undefined) throw refuse(`"${foreign}" is a volume of another guest`);
  await stopHard(node, guest);
  await destroyGuest(node, guest);
}

/** How people remove a guest that may be left: a clause. Who stands under its vmid now is not known. */
export function removeByHand(node: ProxmoxNode, guest: GuestId): string {
  const [command, { vmid }] = [tool(guest), guest];
  return `look at ${guestLabel(guest)} on node "${node.name}", and if it is the restored one, remove it: ` +
    `${command} stop ${vmid}; ${command} destroy ${vmid}`;
}
