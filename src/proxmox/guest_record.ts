import { z } from "zod";
import { type ConfigValues, parseGuestConfig, valuesOf } from "../archive/guest_config.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { control, type GuestId } from "./guest_control.ts";
import { isUnknownPath, pveshGet } from "./pvesh.ts";

/** A guest's configuration in force, without pending changes: what a backup of it takes. */
export interface GuestRecord {
  config: ConfigValues;
  /** Names of its snapshots. */
  snapshots: readonly string[];
}

type OwnedGuest = GuestId & { node: string };

/**
 * Reads a guest's configuration, of any node of the cluster. The file in the cluster filesystem has all of it at
 * once; where that cannot be read, pvesh tells, which takes a second or two on a real node.
 */
export async function readGuest(node: ProxmoxNode, guest: OwnedGuest): Promise<GuestRecord> {
  const text = await clusterFile(node, configPath(guest));
  if (text !== null) {
    const { values, snapshots } = parseGuestConfig(text);
    return { config: values, snapshots };
  }
  const [config, snapshots] = await Promise.all([askConfig(node, guest), askSnapshots(node, guest)]);
  // Where the node does not tell, "parent" tells of the snapshot taken last.
  return { config, snapshots: snapshots ?? (config.parent === undefined ? [] : [config.parent]) };
}

/** A guest's configuration alone, of any node of the cluster. */
export async function readConfig(node: ProxmoxNode, guest: OwnedGuest): Promise<ConfigValues> {
  const text = await clusterFile(node, configPath(guest));
  return text === null ? await askConfig(node, guest) : parseGuestConfig(text).values;
}

/** The guest's own files, for the record: configuration with its snapshots, and firewall rules if any. */
export interface GuestFiles {
  config: string;
  firewall?: string;
}

/**
 * Reads the guest's files from the cluster filesystem; where it cannot be read, the configuration (and that
 * of each snapshot) is put together from what `qm` and `pct` print.
 */
export async function guestFiles(
  node: ProxmoxNode,
  guest: OwnedGuest,
  snapshots: readonly string[],
): Promise<GuestFiles> {
  const config = await clusterFile(node, configPath(guest)) ?? await printedConfig(node, guest, snapshots);
  const firewall = await clusterFile(node, `/etc/pve/firewall/${guest.vmid}.fw`);
  return { config, ...(firewall ? { firewall } : {}) };
}

function configPath({ node, kind, vmid }: OwnedGuest): string {
  return `/etc/pve/nodes/${node}/${kind === "qemu" ? "qemu-server" : "lxc"}/${vmid}.conf`;
}

async function clusterFile(node: ProxmoxNode, path: string): Promise<string | null> {
  return await node.runner.files.readText(path).catch(() => null);
}

const configAnswer = z.record(z.string(), z.unknown());

async function askConfig(node: ProxmoxNode, guest: OwnedGuest): Promise<ConfigValues> {
  const path = `/nodes/${guest.node}/${guest.kind}/${guest.vmid}/config`;
  const { digest: _, ...values } = valuesOf(
    await pveshGet(node.runner, path, configAnswer, { current: "1" }),
  );
  return values;
}

const snapshotsAnswer = z.array(z.looseObject({ name: z.string() }));

/** `undefined` where the node does not tell. */
async function askSnapshots(node: ProxmoxNode, guest: OwnedGuest): Promise<string[] | undefined> {
  try {
    const path = `/nodes/${guest.node}/${guest.kind}/${guest.vmid}/snapshot`;
    const answer = await pveshGet(node.runner, path, snapshotsAnswer);
    return answer.map((snapshot) => snapshot.name).filter((name) => name !== "current");
  } catch (error) {
    // Snapshots that were not seen would be lost without a word.
    if (!isUnknownPath(error)) throw error;
    return undefined;
  }
}

async function printedConfig(
  node: ProxmoxNode,
  guest: GuestId,
  snapshots: readonly string[],
): Promise<string> {
  const vmid = String(guest.vmid);
  const print = async (...options: string[]) =>
    (await control(node, guest, "read the configuration of", ["config", vmid, ...options])).stdout;
  let text = await print("--current", "1");
  for (const name of snapshots) text += `\n[${name}]\n${await print("--snapshot", name)}`;
  return text;
}
