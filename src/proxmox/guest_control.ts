import { z } from "zod";
import { type ConfigValues, valuesOf } from "../archive/guest_config.ts";
import { messageOf, UserError } from "../core/errors.ts";
import { type GuestKind, guestLabel } from "../core/guest.ts";
import { CommandError, type CommandOutput } from "../runner/runner.ts";
import type { ProxmoxNode } from "./cluster.ts";
import { pveshGet } from "./pvesh.ts";

/** A guest of this node; `qm` and `pct` know no other nodes. */
export interface GuestId {
  vmid: number;
  kind: GuestKind;
}

/** Milliseconds between two looks at a guest whose state is to change. */
const POLL_INTERVAL = 500;
/** Milliseconds for a state that was asked for to come true: an HA manager acts within some ten seconds. */
const STATE_TIMEOUT = 90_000;

const tool = (guest: GuestId): "qm" | "pct" => guest.kind === "qemu" ? "qm" : "pct";

async function control(
  node: ProxmoxNode,
  guest: GuestId,
  action: string,
  argv: readonly string[],
  timeout = 120_000,
): Promise<CommandOutput> {
  try {
    return await node.runner.run([tool(guest), ...argv], { timeout });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new UserError("failed", `Cannot ${action} ${guestLabel(guest)}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** `running`, `stopped` or a QEMU run state such as `paused`, read anew from the node. */
export async function guestStatus(node: ProxmoxNode, guest: GuestId): Promise<string> {
  const { stdout } = await control(node, guest, "read the state of", ["status", String(guest.vmid)]);
  return /^status: (\S+)/m.exec(stdout)?.[1] ?? "unknown";
}

const configAnswer = z.record(z.string(), z.unknown());

/**
 * The guest's configuration as it is in force (no pending changes, no snapshots): key to value, as in its
 * configuration file. Works for guests of other nodes too.
 */
export async function guestConfig(
  node: ProxmoxNode,
  guest: GuestId & { node: string },
): Promise<ConfigValues> {
  const answer = await pveshGet(
    node.runner,
    `/nodes/${guest.node}/${guest.kind}/${guest.vmid}/config`,
    configAnswer,
    { current: "1" },
  );
  const { digest: _, ...values } = valuesOf(answer);
  return values;
}

const snapshotsAnswer = z.array(z.looseObject({ name: z.string() }));

/**
 * Names of the guest's snapshots. Where the node does not tell, `parent` in the configuration tells of the
 * newest: a guest with snapshots has one.
 */
export async function guestSnapshots(
  node: ProxmoxNode,
  guest: GuestId & { node: string },
  config: ConfigValues,
): Promise<string[]> {
  try {
    const path = `/nodes/${guest.node}/${guest.kind}/${guest.vmid}/snapshot`;
    const answer = await pveshGet(node.runner, path, snapshotsAnswer);
    return answer.map((snapshot) => snapshot.name).filter((name) => name !== "current");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return config.parent === undefined ? [] : [config.parent];
  }
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
  guest: GuestId & { node: string },
  snapshots: readonly string[],
): Promise<GuestFiles> {
  const folder = guest.kind === "qemu" ? "qemu-server" : "lxc";
  const readable = (path: string) => node.runner.files.readText(path).catch(() => null);
  const config = await readable(`/etc/pve/nodes/${guest.node}/${folder}/${guest.vmid}.conf`);
  const firewall = await readable(`/etc/pve/firewall/${guest.vmid}.fw`);
  return { config: config ?? await printedConfig(node, guest, snapshots), ...(firewall ? { firewall } : {}) };
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

/**
 * Shuts the guest down, and stops it hard after `timeout` seconds. A guest that does not run is fine.
 * Settles when the guest is seen stopped: for HA-managed guests the tools only file a request.
 */
export async function stopGuest(node: ProxmoxNode, guest: GuestId, timeout: number): Promise<void> {
  if (await guestStatus(node, guest) === "stopped") return;
  const vmid = String(guest.vmid);
  try {
    const argv = ["shutdown", vmid, "--timeout", String(timeout), "--forceStop", "1"];
    await control(node, guest, "shut down", argv, (timeout + 120) * 1000);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // A paused VM cannot be shut down, and a guest that has just stopped by itself is an error for pct.
    if (await guestStatus(node, guest) === "stopped") return;
    await control(node, guest, "stop", ["stop", vmid]);
  }
  if (!await reachesStatus(node, guest, "stopped")) {
    throw new UserError("failed", `Cannot stop ${guestLabel(guest)}: it still runs`, {
      hint: "stop it by hand and try again",
    });
  }
}

/** Starts the guest; settles when it is seen running. */
export async function startGuest(node: ProxmoxNode, guest: GuestId): Promise<void> {
  await control(node, guest, "start", ["start", String(guest.vmid)], 300_000);
  if (!await reachesStatus(node, guest, "running")) {
    throw new UserError("failed", `Cannot start ${guestLabel(guest)}: it is not running after the start`);
  }
}

async function reachesStatus(node: ProxmoxNode, guest: GuestId, wanted: string): Promise<boolean> {
  const deadline = Date.now() + STATE_TIMEOUT;
  for (;;) {
    if (await guestStatus(node, guest) === wanted) return true;
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
  }
}

/** Removes a guest. Never with `--purge`: jobs, replication and HA entries may belong to the next guest of that id. */
export async function destroyGuest(node: ProxmoxNode, guest: GuestId): Promise<void> {
  await control(node, guest, "remove", ["destroy", String(guest.vmid)]);
}
