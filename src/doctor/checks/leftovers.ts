import { guestLabel } from "../../core/guest.ts";
import { sizeText } from "../../core/units.ts";
import { isVzdumpRunning } from "../../proxmox/backup_lock.ts";
import type { ProxmoxNode } from "../../proxmox/cluster.ts";
import { leftGuests } from "../../proxmox/left_guests.ts";
import { findWorkDirs, type FoundWorkDir } from "../../proxmox/leftovers.ts";
import type { NodeCheck, Patient } from "../check.ts";
import { fine, note, type Sighting, warning } from "../finding.ts";

/** Where vzdump mounts a container's snapshot; a stale mount fails the next backup (pve-container, PVE/VZDump/LXC.pm). */
const SNAPSHOT_MOUNT = "/mnt/vzsnap0";

export const locks: NodeCheck = {
  name: "locks",
  async look({ node, guests }) {
    const locked = guests.filter(({ lock, status }) =>
      // A hibernated guest is locked for as long as it sleeps.
      (lock !== undefined && lock !== "suspended") || status === "prelaunch"
    );
    const isRunning = await isVzdumpRunning(node.runner);
    const stale = await staleMount({ node }, isRunning);
    if (locked.length + stale.length === 0) {
      return [fine(isRunning ? "a vzdump is at work" : "no guest is locked")];
    }
    return [...locked.flatMap((guest) => lockSighting(guest, isRunning)), ...stale];
  },
};

function lockSighting(guest: Patient["guests"][number], isRunning: boolean): Sighting[] {
  const { lock, status, vmid, kind } = guest;
  const label = guestLabel(guest);
  const tool = kind === "qemu" ? "qm" : "pct";
  if (lock === "backup") {
    if (isRunning) return [fine(`${label} is locked (backup), and a vzdump is at work`)];
    const remedy = `run "plakar-proxmox cleanup --unlock", or "${tool} unlock ${vmid}"`;
    return [warning(`${label} is locked (backup), but no vzdump is at work: its backups fail`, remedy)];
  }
  if (lock !== undefined) {
    const remedy = `once nothing is at work on it, run "${tool} unlock ${vmid}"`;
    return [warning(`${label} is locked (${lock}): its backups fail`, remedy)];
  }
  if (isRunning) return [];
  const text = `${label} was started for a backup and waits (${status}), but no vzdump is at work`;
  return [warning(text, `run "qm stop ${vmid}"`)];
}

async function staleMount({ node }: Pick<Patient, "node">, isRunning: boolean): Promise<Sighting[]> {
  if (isRunning) return [];
  const names = await node.runner.files.list(SNAPSHOT_MOUNT).catch(() => []);
  if (names.length === 0) return [];
  const text = `"${SNAPSHOT_MOUNT}" is not empty, but no vzdump is at work: backups of containers fail`;
  return [warning(text, `run "umount -R ${SNAPSHOT_MOUNT}"`)];
}

export const staging: NodeCheck = {
  name: "staging",
  async look({ node, dumpDir }) {
    const found = await findWorkDirs(node, dumpDir);
    const seen: Sighting[] = [];
    for (const dir of found) seen.push(...await workDirSightings(node, dir));
    return seen.length > 0 ? seen : [fine("nothing is left over from earlier runs")];
  },
};

async function workDirSightings(node: ProxmoxNode, dir: FoundWorkDir): Promise<Sighting[]> {
  const { path, state, reason, bytes } = dir;
  if (state === "in-use") return [note(`"${path}" is in use: ${reason}`)];
  if (state === "kept") {
    return [
      note(`"${path}" takes ${sizeText(bytes)}: ${reason}`, "remove it by hand when you are done with it"),
    ];
  }
  const text = `"${path}" takes ${sizeText(bytes)}, left over by a run that was killed`;
  const guests = (await leftGuests(node, dir)).map((guest) => warning(guest.text, guest.remedy));
  return [warning(text, 'run "plakar-proxmox cleanup"'), ...guests];
}
