import type { ArchiveDisk } from "../../../src/archive/contents.ts";
import type { Guest, GuestKind } from "../../../src/core/guest.ts";
import type { Storage } from "../../../src/proxmox/cluster.ts";
import { planRestores } from "../../../src/restore/make_plan.ts";
import type {
  PlannedRestore,
  RestoreSettings,
  RestoreWish,
  Standing,
  Surroundings,
} from "../../../src/restore/plan.ts";

export const GIB = 1024 ** 3;
const UUID = "11111111-2222-3333-4444-555555555555";

export const VM_CONFIG = {
  name: "web",
  smbios1: `uuid=${UUID}`,
  net0: "virtio=BC:24:11:00:00:01,bridge=vmbr0",
  scsi0: "fast:vm-101-disk-0,size=8G",
};
export const CT_CONFIG = {
  hostname: "mail",
  net0: "name=eth0,hwaddr=BC:24:11:00:00:02,bridge=vmbr0",
  rootfs: "pool:vm-105-disk-0,size=4G",
};
export const VM_DISKS: ArchiveDisk[] = [{ key: "scsi0", size: 8 * GIB, storage: "fast" }];
export const CT_DISKS: ArchiveDisk[] = [{ key: "rootfs", size: 4 * GIB, storage: "pool" }];

/** A wish for the VM 101 or the container 105; `target: undefined` leaves the target out. */
export function wish(
  kind: GuestKind,
  given: Partial<Omit<RestoreWish, "target">> & { target?: number | undefined } = {},
): RestoreWish {
  const vmid = kind === "qemu" ? 101 : 105;
  const name = kind === "qemu" ? "vzdump-qemu-101-x.vma" : "vzdump-lxc-105-x.tar";
  const { target, ...rest } = { target: vmid, ...given };
  return {
    archive: { name, kind, vmid, bytes: GIB, taken: new Date(0) },
    compression: "none",
    config: kind === "qemu" ? VM_CONFIG : CT_CONFIG,
    disks: kind === "qemu" ? VM_DISKS : CT_DISKS,
    ...rest,
    ...(target === undefined ? {} : { target }),
  };
}

/** What stands under a vmid; by default the same guest as the wish's, running on this node. */
export function standing(
  kind: GuestKind,
  given: Partial<Omit<Standing, "guest">> & { guest?: Partial<Guest> } = {},
): Standing {
  const { guest, ...rest } = given;
  return {
    status: "running",
    config: kind === "qemu" ? VM_CONFIG : CT_CONFIG,
    snapshots: [],
    ...rest,
    guest: {
      vmid: kind === "qemu" ? 101 : 105,
      kind,
      node: "pve1",
      name: kind === "qemu" ? "web" : "mail",
      status: rest.status ?? "running",
      template: false,
      tags: [],
      ...guest,
    },
  };
}

export function storage(id: string, given: Partial<Storage> = {}): Storage {
  return {
    id,
    type: "dir",
    content: ["images", "rootdir"],
    enabled: true,
    active: true,
    available: 100 * GIB,
    ...given,
  };
}

/** `storages` are those of pve1, `others` those of further nodes. */
export function around(
  given: Partial<Omit<Surroundings, "standing" | "storages">> & {
    standing?: Standing[];
    storages?: Storage[];
    others?: Record<string, Storage[]>;
  } = {},
): Surroundings {
  const { standing: there = [], storages = [storage("fast"), storage("pool")], others = {}, ...rest } = given;
  return {
    node: "pve1",
    guests: there.map((entry) => entry.guest),
    storages: new Map([["pve1", storages], ...Object.entries(others)]),
    releases: new Map(),
    machines: new Map(),
    neighbours: new Map(),
    free: [900],
    unreachable: new Map(),
    pools: ["prod", "prod/web"],
    ...rest,
    standing: new Map(there.map((entry) => [entry.guest.vmid, entry])),
  };
}

export const SETTINGS: RestoreSettings = {
  ifExists: "refuse",
  destroyExcluded: false,
  start: "as-before",
  unique: "auto",
};

/** The plan for one wish. */
export function planOf(
  one: RestoreWish,
  surroundings: Surroundings = around(),
  settings: Partial<RestoreSettings> = {},
): PlannedRestore {
  const [plan] = planRestores([one], surroundings, { ...SETTINGS, ...settings });
  if (!plan) throw new Error("there is no plan");
  return plan;
}

/** Why a plan is refused, without the hints. */
export const reasonsOf = (plan: PlannedRestore): string[] => plan.refusals.map(({ reason }) => reason);
