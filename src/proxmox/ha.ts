import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import { listGuests, type ProxmoxNode } from "./cluster.ts";
import { control, guestStatus, POLL_INTERVAL, STATE_TIMEOUT, stopGuest } from "./guest_control.ts";
import { isUnknownPath, pveshGet, pveshSet } from "./pvesh.ts";

/**
 * What the HA manager was told to do with a guest (pve-ha-manager's Resources.pm). `ignored`: hands off, the guest
 * behaves as one without HA.
 */
export type HaRequest = "started" | "stopped" | "disabled" | "ignored";

/** States of the manager itself in which it is at work on the guest, or has given up on it. */
const UNSETTLED = ["error", "fence", "freeze", "migrate", "recovery", "relocate"];

/** Seconds that the manager itself gives a guest to shut down, before it stops it hard (Resources/PVEVM.pm, shutdown). */
const HA_SHUTDOWN = 60;

const RESOURCES = "/cluster/ha/resources";

const resourcesAnswer = z.array(z.looseObject({
  sid: z.string(),
  state: z.enum(["started", "enabled", "stopped", "disabled", "ignored"]).default("started"),
}));

/** Why the HA manager does not leave the guest to us for now; `undefined`: it does. */
export function unsettledHa({ haState }: Guest): string | undefined {
  return haState !== undefined && UNSETTLED.includes(haState) ? haState : undefined;
}

/** `vm:101` */
export function haService({ vmid, kind }: Pick<Guest, "vmid" | "kind">): string {
  return `${kind === "qemu" ? "vm" : "ct"}:${vmid}`;
}

/** The state that was requested for a guest; `undefined` for one that HA does not manage. */
export async function haRequest(node: ProxmoxNode, guest: Guest): Promise<HaRequest | undefined> {
  if (guest.haState === undefined) return undefined;
  const resources = await pveshGet(node.runner, RESOURCES, resourcesAnswer).catch((error) => {
    if (!isUnknownPath(error)) throw error;
    return [{ sid: haService(guest), state: byState(guest.haState) }];
  });
  // One that was removed is listed with the guest until the manager has taken note.
  const found = resources.find(({ sid }) => sid === haService(guest));
  return found?.state === "enabled" ? "started" : found?.state;
}

/** The request that the manager's own state of a guest answers. */
const byState = (state: string | undefined): HaRequest =>
  state === "stopped" || state === "disabled" || state === "ignored" ? state : "started";

/** Requests a state; the manager brings it about some ten seconds later. */
export async function requestHa(node: ProxmoxNode, guest: Guest, state: HaRequest): Promise<void> {
  try {
    await pveshSet(node.runner, `${RESOURCES}/${haService(guest)}`, { state });
  } catch (error) {
    if (!isUnknownPath(error) || (state !== "started" && state !== "stopped")) throw error;
    // Of a guest that HA manages the tools file the same request (qemu-server, PVE/API2/Qemu.pm, vm_start).
    const verb = state === "started" ? "start" : "stop";
    await control(node, guest, verb, [verb, String(guest.vmid)]);
  }
}

/**
 * Stops a guest that HA manages, and has the manager leave it stopped: as long as `started` is requested, it would
 * start the guest again in the middle of a restore. So its own state must be `stopped` before this settles.
 * `timeout`: seconds for a clean shutdown, 60 at least. `hold`: see `JobOptions`.
 */
export async function stopManaged(
  node: ProxmoxNode,
  guest: Guest,
  timeout: number,
  hold?: string,
): Promise<void> {
  // The tools only queue a command for the manager, which it takes up some seconds later (`crm-command stop`), and
  // whoever asks for a start before that is overruled. A requested state counts from when it is there.
  if (timeout > HA_SHUTDOWN) await stopGuest(node, guest, timeout, hold);
  if (await haRequest(node, guest) === "started") await requestHa(node, guest, "stopped");
  const deadline = performance.now() + HA_SHUTDOWN * 1000 + STATE_TIMEOUT;
  for (;;) {
    const [status, listed] = await Promise.all([guestStatus(node, guest), listGuests(node)]);
    const now = listed.find(({ vmid }) => vmid === guest.vmid);
    if (status === "stopped" && ["stopped", "disabled"].includes(now?.haState ?? "stopped")) return;
    if (performance.now() > deadline) {
      throw new UserError(
        "failed",
        `Cannot stop ${guestLabel(guest)}: the HA manager has it in state "${now?.haState}"`,
        { hint: `see "ha-manager status"` },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}
