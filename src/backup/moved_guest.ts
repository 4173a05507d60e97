import type { Guest } from "../core/guest.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";

/**
 * The guest where it is now, when that is another node than it was listed on. vzdump tells nothing of a move: for
 * a guest of another node it ends well and without a byte, or says that there is no such guest.
 */
export async function movedGuest(entry: ProxmoxNode, guest: Guest): Promise<Guest | undefined> {
  const guests = await listGuests(entry).catch(() => []);
  const now = guests.find(({ vmid, kind }) => vmid === guest.vmid && kind === guest.kind);
  return now && now.node !== guest.node ? { ...guest, node: now.node } : undefined;
}
