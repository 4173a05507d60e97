import { parseGuestConfig } from "../archive/guest_config.ts";
import type { DecoderFactory } from "../archive/contents.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import type { SnapshotSource, StoredArchive } from "../core/sink.ts";
import { listGuests, listPools, listStorages, nextFreeVmid, type ProxmoxNode } from "../proxmox/cluster.ts";
import { guestStatus } from "../proxmox/guest_control.ts";
import { readGuest } from "../proxmox/guest_record.ts";
import { peekArchive } from "./peek.ts";
import type { RestoreWish, Standing, Surroundings } from "./plan.ts";

/** Reads what each archive's own beginning tells and decides its target. */
export async function readWishes(
  node: ProxmoxNode,
  archives: readonly StoredArchive[],
  newid: number | "next" | undefined,
  from: { source: SnapshotSource; decoder: DecoderFactory },
): Promise<RestoreWish[]> {
  if (typeof newid === "number" && archives.length > 1) {
    throw new UserError("usage", `Cannot restore ${archives.length} guests to the one vmid ${newid}`, {
      hint: "name one guest with --vmid, or pass --newid next",
    });
  }
  const free = newid === "next" ? await freeVmids(node, archives.length) : [];
  const wishes: RestoreWish[] = [];
  for (const [index, archive] of archives.entries()) {
    const target = typeof newid === "number" ? newid : free[index] ?? archive.vmid;
    const { compression, config, disks } = await peek(archive, from);
    wishes.push({
      archive,
      compression,
      config: parseGuestConfig(config).values,
      disks,
      ...(target !== undefined ? { target } : {}),
    });
  }
  return wishes;
}

async function peek(archive: StoredArchive, from: { source: SnapshotSource; decoder: DecoderFactory }) {
  try {
    return await peekArchive(await from.source.open(archive), archive.kind, from.decoder);
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw new UserError("damage", `Cannot restore "${archive.name}": ${messageOf(cause)}`, {
      ...(archive.snapshot === undefined ? {} : { hint: "take an older snapshot with --snapshot" }),
      cause,
    });
  }
}

/** `count` vmids that are free now, the first as Proxmox proposes it. */
export async function freeVmids(node: ProxmoxNode, count: number): Promise<number[]> {
  const taken = new Set((await listGuests(node)).map((guest) => guest.vmid));
  const free: number[] = [];
  for (let vmid = await nextFreeVmid(node); free.length < count; vmid++) {
    if (!taken.has(vmid)) free.push(vmid);
  }
  return free;
}

/** Looks at everything the plan has to fit into. */
export async function survey(node: ProxmoxNode, wishes: readonly RestoreWish[]): Promise<Surroundings> {
  const guests = await listGuests(node);
  const vmids = new Set(wishes.flatMap(({ target, archive }) => [target, archive.vmid]));
  const standing = new Map<number, Standing>();
  for (const guest of guests) if (vmids.has(guest.vmid)) standing.set(guest.vmid, await lookAt(node, guest));
  const [storages, pools] = [await listStorages(node), await listPools(node)];
  return { node: node.name, guests, standing, storages, pools };
}

/** Looks at one guest: its state from the guest itself where it is on this node, its configuration anywhere. */
export async function lookAt(node: ProxmoxNode, guest: Guest): Promise<Standing> {
  const status = guest.node === node.name ? await guestStatus(node, guest) : guest.status;
  return { guest, status, ...await readGuest(node, guest) };
}
