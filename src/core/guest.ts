/** A virtual machine (`qemu`) or a container (`lxc`). */
export type GuestKind = "qemu" | "lxc";

/** One guest as the cluster lists it. A vmid is unique in a cluster. */
export interface Guest {
  vmid: number;
  kind: GuestKind;
  /** Name of the node that owns the guest. */
  node: string;
  /** Absent while the cluster has no status of the guest yet. */
  name?: string;
  /** `running`, `stopped`, a QEMU run state such as `paused`, or `unknown`. */
  status: string;
  template: boolean;
  /** Full pool name; nested pools are written `parent/child`. */
  pool?: string;
  tags: string[];
  /** Kind of the configuration lock, such as `backup` or `migrate`. */
  lock?: string;
  /** State that the high-availability manager asks for; present only for guests it manages. */
  haState?: string;
}

/** `VM 101` or `CT 105`, the way Proxmox names guests in its own messages. */
export function guestLabel(guest: { vmid: number; kind: GuestKind }): string {
  return `${guest.kind === "qemu" ? "VM" : "CT"} ${guest.vmid}`;
}
