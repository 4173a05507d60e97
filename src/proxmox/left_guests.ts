import { messageOf } from "../core/errors.ts";
import { guestLabel } from "../core/guest.ts";
import { listGuests, type ProxmoxNode } from "./cluster.ts";
import { type GuestId, guestStatus, tool } from "./guest_control.ts";
import { readSettings } from "./guest_settings.ts";
import type { FoundWorkDir } from "./leftovers.ts";

/** A guest that a dead run was at work on, and does not stand as it should. */
export interface LeftGuest {
  /** What it is like: a clause. */
  text: string;
  /** What to do about it: a clause. */
  remedy: string;
}

/** How a guest stands there that a directory's notes name. */
interface Look {
  status: string;
  lock: string | undefined;
  hasDisks: boolean;
}

const DISK_KEY = /^(ide|sata|scsi|virtio|efidisk|tpmstate|rootfs)\d*$/;

/** Looks at the guests that the notes in a dead run's directory name; those that stand as they should are left out. */
export async function leftGuests(node: ProxmoxNode, dir: FoundWorkDir): Promise<LeftGuest[]> {
  const { restart, unfinished, replacing } = dir;
  const left: LeftGuest[] = [];
  const add = async (
    guest: GuestId,
    tell: (guest: GuestId, look: Look | "gone" | undefined) => LeftGuest[],
  ) => {
    try {
      left.push(...tell(guest, await lookAt(node, guest)));
    } catch (error) {
      const text = `${guestLabel(guest)} was being restored, and how it stands is not known: ${
        messageOf(error)
      }`;
      left.push({ text, remedy: "look at it" });
    }
  };
  if (replacing) await add(replacing, replacingText);
  if (unfinished) await add(unfinished, unfinishedText);
  if (restart && left.length === 0) await add(restart, restartText);
  return left;
}

/** `gone`: from the whole cluster. `undefined`: another guest has its vmid, or it has moved. */
async function lookAt(node: ProxmoxNode, guest: GuestId): Promise<Look | "gone" | undefined> {
  const there = (await listGuests(node)).find(({ vmid }) => vmid === guest.vmid);
  if (!there) return "gone";
  if (there.kind !== guest.kind || there.node !== node.name) return undefined;
  const [status, config] = await Promise.all([guestStatus(node, guest), readSettings(node, guest)]);
  return { status, lock: config.lock, hasDisks: Object.keys(config).some((key) => DISK_KEY.test(key)) };
}

/** What a restore tool leaves that is killed: its lock, and a configuration without disks (qemu-server, restore). */
function wreckOf({ lock, hasDisks }: Look): string | undefined {
  const signs = [
    ...(lock === undefined ? [] : [`is locked (${lock})`]),
    ...(hasDisks ? [] : ["has no disks"]),
  ];
  return signs.length > 0 ? signs.join(" and ") : undefined;
}

function replacingText(guest: GuestId, look: Look | "gone" | undefined): LeftGuest[] {
  const wreck = look === "gone" ? "is gone" : look && wreckOf(look);
  if (look === undefined || wreck === undefined) return [];
  const unlock = look !== "gone" && look.lock !== undefined
    ? `"${tool(guest)} unlock ${guest.vmid}", then `
    : "";
  const isLost = look === "gone" || !look.hasDisks;
  return [{
    text: `${guestLabel(guest)} was being replaced when its restore was cut off: it ${wreck}`,
    remedy: isLost
      ? `${unlock}restore it again; the configuration that it had is in that run's report`
      : `${unlock}look at it: start it if it is whole, else restore it again`,
  }];
}

function unfinishedText(guest: GuestId, look: Look | "gone" | undefined): LeftGuest[] {
  if (look === "gone" || look === undefined) return [];
  const [command, { vmid }] = [tool(guest), guest];
  const wreck = wreckOf(look);
  const label = guestLabel(guest);
  if (wreck === undefined) {
    return [{
      text: `${label} was being restored when its run was killed`,
      remedy: `look at it, and unless it is whole, "${command} destroy ${vmid}"`,
    }];
  }
  const unlock = look.lock === undefined ? "" : `${command} unlock ${vmid} && `;
  return [{
    text: `${label} was being restored when its restore was cut off: it ${wreck}`,
    remedy: `"${unlock}${command} destroy ${vmid}", then restore it again`,
  }];
}

function restartText(guest: GuestId, look: Look | "gone" | undefined): LeftGuest[] {
  if (look === undefined || (look !== "gone" && look.status !== "stopped")) return [];
  const label = guestLabel(guest);
  const wreck = look === "gone" ? "is gone" : wreckOf(look);
  if (wreck !== undefined) {
    return [{
      text: `${label} was stopped for its restore, and ${wreck}`,
      remedy: "look at it, and restore it again if need be",
    }];
  }
  return [{
    text: `${label} was stopped for its restore and never started again`,
    remedy: `look at it, then "${tool(guest)} start ${guest.vmid}"`,
  }];
}
