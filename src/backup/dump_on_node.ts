import { messageOf } from "../core/errors.ts";
import { type Guest, guestLabel } from "../core/guest.ts";
import { makeWorkDir, type WorkDir } from "../proxmox/work_dir.ts";
import { dumpGuest, type DumpResult, type DumpTask } from "./dump_guest.ts";
import type { DumpNodes } from "./dump_nodes.ts";

/** What dumping a guest takes besides its node and a working directory there. */
export interface GuestDump extends Omit<DumpTask, "node" | "request"> {
  nodes: DumpNodes;
  runId: string;
  dumpDir: string;
  request: Omit<DumpTask["request"], "workDir" | "hold">;
}

/**
 * Dumps one guest on its node, in a working directory of its own. Never rejects: a failure is this guest's.
 *
 * The directory is not shared with the node's next guest: when the connection to the node is lost, what guards
 * the directory there takes us for dead and removes it.
 */
export async function dumpOnNode(guest: Guest, dump: GuestDump): Promise<DumpResult> {
  let workDir: WorkDir | undefined;
  let result: DumpResult;
  try {
    const { node } = await dump.nodes.on(guest.node);
    workDir = await makeWorkDir(node, dump.dumpDir, `${dump.runId}-${guest.vmid}`, 0o711);
    const request = { ...dump.request, workDir: workDir.path, hold: workDir.busy };
    result = await dumpGuest(guest, { ...dump, node, request });
  } catch (cause) {
    const error = `Cannot back up ${guestLabel(guest)}: ${messageOf(cause)}`;
    result = { error, bytes: 0, log: "", warnings: [] };
  }
  await workDir?.close().catch((cause) =>
    result.warnings.push(`its working directory may be left on node "${guest.node}": ${messageOf(cause)}`)
  );
  return result;
}
