/** Finding guests the way qm and pct do: only on this node, only of their own kind. */
import { configValue } from "./config.ts";
import { type Context, ToolError } from "./context.ts";
import type { GuestKind, GuestState, SimState } from "./state.ts";

/** Perl leaves ENOENT behind as the exit status. */
const ENOENT = 2;

export const labelOf = (kind: GuestKind) => kind === "qemu" ? "VM" : "CT";

export function configPath(kind: GuestKind, node: string, vmid: number): string {
  return `nodes/${node}/${kind === "qemu" ? "qemu-server" : "lxc"}/${vmid}.conf`;
}

/** The guest of this kind on this node; else an error with exit status 2. */
export function localGuest(state: SimState, node: string, kind: GuestKind, vmid: number): GuestState {
  const guest = state.guests[vmid];
  if (guest === undefined || guest.kind !== kind || guest.node !== node) {
    throw new ToolError(`Configuration file '${configPath(kind, node, vmid)}' does not exist`, ENOENT);
  }
  return guest;
}

export function hasLocalGuest(context: Context, kind: GuestKind, vmid: number): boolean {
  const guest = context.state.guests[vmid];
  return guest !== undefined && guest.kind === kind && guest.node === context.node;
}

/** Refuses a guest with a lock. */
export function checkLock(guest: GuestState): void {
  const lock = configValue(guest.config, "lock");
  if (lock !== undefined) throw new ToolError(`${labelOf(guest.kind)} is locked (${lock})`);
}

export function checkQuorum(state: SimState): void {
  if (!state.quorate) throw new ToolError("cluster not ready - no quorum?");
}

/** `VM 101 already exists on node 'pve1'`, undefined for a free vmid. */
export function occupant(state: SimState, vmid: number): string | undefined {
  const guest = state.guests[vmid];
  return guest && `${labelOf(guest.kind)} ${vmid} already exists on node '${guest.node}'`;
}
