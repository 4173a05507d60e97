/**
 * The HA manager (pve-ha-manager), as far as one service is concerned: a requested state, commands that wait for the
 * manager's next round, and a node that carries out what the manager decided.
 */
import { configValue } from "./config.ts";
import type { GuestState, SimState } from "./state.ts";

/** For a stop that nobody gave a time (Resources/PVEVM.pm, shutdown). */
const SHUTDOWN_SECONDS = 60;
const REQUESTS = ["started", "stopped", "enabled", "disabled", "ignored"];

/** Guests that are ignored behave as if they were not managed (HA/Config.pm, service_check_ha_state). */
export function isManaged(guest: GuestState): boolean {
  return guest.ha !== undefined && guest.ha !== "ignored";
}

export const serviceId = (guest: GuestState): string =>
  `${guest.kind === "qemu" ? "vm" : "ct"}:${guest.vmid}`;

/** What /cluster/resources tells: the manager's own state of the service, else the requested one. */
export function serviceState(guest: GuestState): string | undefined {
  if (!isManaged(guest)) return guest.ha;
  if (guest.haError) return "error";
  if (guest.request) return guest.request.status === "running" ? "request_start" : "request_stop";
  return guest.status === "stopped" ? "stopped" : "started";
}

/** `ha-manager set`: takes effect in the configuration at once, on the guest in the manager's next round. */
export function setRequestedState(state: SimState, guest: GuestState, requested: string): void {
  if (!REQUESTS.includes(requested)) {
    throw new Error(`state: value '${requested}' does not have a value in the enumeration '${REQUESTS}'`);
  }
  if (guest.haError && requested !== "disabled") {
    throw new Error(
      `update resource failed: service '${
        serviceId(guest)
      }' in error state, must be disabled and fixed first`,
    );
  }
  guest.ha = requested === "enabled" ? "started" : requested;
  delete guest.haError;
  delete guest.request;
  reconcile(state, guest, Date.now());
}

/** `ha-manager crm-command stop`: the manager takes it up in its next round, and changes the requested state then. */
export function queueStop(state: SimState, guest: GuestState, seconds: number): void {
  guest.haCommand = { at: Date.now() + state.knobs.haDelayMs, seconds };
}

/** Carries out what is due by now. */
export function runManager(state: SimState, now: number): void {
  for (const guest of Object.values(state.guests)) {
    if (!isManaged(guest) || guest.haError) {
      delete guest.haCommand;
      continue;
    }
    takeCommand(state, guest, now);
    if (guest.request && guest.request.at <= now) carryOut(state, guest, guest.request);
    reconcile(state, guest, now);
  }
}

function takeCommand(state: SimState, guest: GuestState, now: number): void {
  const { haCommand } = guest;
  if (haCommand === undefined || haCommand.at > now) return;
  delete guest.haCommand;
  if (guest.ha !== "started") return; // "service already stopped"
  guest.ha = "stopped";
  guest.request = { status: "stopped", at: haCommand.at + shutdownTime(state, guest, haCommand.seconds) };
}

/** Milliseconds: a guest that does not go by itself is stopped hard at the end. */
function shutdownTime(state: SimState, { vmid }: GuestState, seconds: number): number {
  const faults = state.faults[vmid] ?? {};
  const needed = faults.ignoreShutdown ? Infinity : faults.shutdownMs ?? 0;
  return Math.min(needed, seconds * 1000 * state.knobs.timeScale);
}

/** A start that fails, above all of a guest that a restore has locked, ends in the state "error". */
function carryOut(state: SimState, guest: GuestState, request: { status: string; at: number }): void {
  delete guest.request;
  const fails = configValue(guest.config, "lock") !== undefined ||
    state.faults[guest.vmid]?.startFails !== undefined;
  if (request.status === "running" && guest.status === "stopped" && fails) {
    guest.haError = true;
    return;
  }
  guest.status = request.status;
  if (request.status === "running") guest.startedAt = request.at;
}

/** The manager brings the guest to its requested state, whoever changed it. */
function reconcile(state: SimState, guest: GuestState, now: number): void {
  if (!isManaged(guest)) return;
  const wanted = guest.ha === "started" ? "running" : "stopped";
  const isThere = wanted === "stopped" ? guest.status === "stopped" : guest.status !== "stopped";
  if (guest.request && guest.request.status !== wanted) delete guest.request;
  if (isThere || guest.request) return;
  const own = wanted === "stopped" ? shutdownTime(state, guest, SHUTDOWN_SECONDS) : 0;
  guest.request = { status: wanted, at: now + state.knobs.haDelayMs + own };
}
