/** qm and pct: which subcommand, what is answered at once and what becomes a task. */
import { isCommand, parseArguments, type ParsedArguments, unknownCommand } from "./args.ts";
import { configValue, isTrue } from "./config.ts";
import { type Context, ToolError, warn } from "./context.ts";
import type { GuestTask } from "./guest_job.ts";
import { checkQuorum, hasLocalGuest, labelOf, localGuest } from "./guest_lookup.ts";
import { isManaged } from "./ha.ts";
import { runTask } from "./job.ts";
import { faultsOf, type GuestKind } from "./state.ts";

const READERS = new Set(["status", "config", "list"]);
const WRITERS = new Set(["set", "unlock"]);

/** `qm disk move` and `qm guest cmd` have two words. */
function splitCommand(context: Context): { name: string; words: string[] } {
  const [first = "", second = "", ...rest] = context.argv;
  const { release } = context.state;
  for (const [name, words] of [[`${first} ${second}`, rest], [first, context.argv.slice(1)]] as const) {
    if (name.trim() !== "" && isCommand(`${context.tool} ${name}`, release)) {
      return { name, words: [...words] };
    }
  }
  throw unknownCommand(context.tool, context.argv);
}

/** What the command line refuses before any task starts. Answers an exit status to stop right there. */
function refuseEarly(context: Context, kind: GuestKind, name: string, vmid: number): number | undefined {
  const { state, node } = context;
  if (kind === "lxc") {
    const running = hasLocalGuest(context, kind, vmid) && state.guests[vmid]!.status !== "stopped";
    if (name === "start") {
      localGuest(state, node, kind, vmid);
      if (running) throw new ToolError(`CT ${vmid} already running`);
    }
    if ((name === "stop" || name === "shutdown") && !running) throw new ToolError(`CT ${vmid} not running`);
    return undefined;
  }
  if (name === "stop" && !hasLocalGuest(context, kind, vmid)) {
    throw new ToolError(`unable to find configuration file for VM ${vmid} on node '${node}'`);
  }
  // Of a VM under high availability a stop is requested whatever its state.
  const isFree = name === "stop" && !isManaged(state.guests[vmid]!);
  if (isFree && state.guests[vmid]!.status === "stopped") return 0;
  if (name === "shutdown") {
    const { status } = localGuest(state, node, kind, vmid);
    if (status === "stopped") {
      warn(`VM ${vmid} not running`);
      return 0;
    }
    const blocked = status === "paused" || (status === "prelaunch" && !state.release.startsWith("7."));
    if (blocked) throw new ToolError("VM is paused - cannot shutdown");
  }
  return undefined;
}

function refuseDestroy(context: Context, kind: GuestKind, vmid: number, parsed: ParsedArguments): void {
  const guest = localGuest(context.state, context.node, kind, vmid);
  const label = `${labelOf(kind)} ${vmid}`;
  if (isTrue(configValue(guest.config, "protection"))) {
    throw new ToolError(`can't remove ${label} - protection mode enabled`);
  }
  if (guest.ha !== undefined && !parsed.flag("purge")) {
    throw new ToolError(`unable to remove ${label} - used in HA resources and purge parameter not set.`);
  }
  if (guest.status === "stopped") return;
  if (kind === "qemu") throw new ToolError(`VM ${vmid} is running - destroy failed`);
  if (!parsed.flag("force")) throw new ToolError(`unable to destroy CT ${vmid} - container is running`);
}

/** `pct exec VMID -- COMMAND…`: no task, and its status is that of the command (pve-container's CLI/pct.pm, exec). */
function execute(context: Context): number {
  const [vmid = "", separator, ...command] = context.argv.slice(1);
  const id = Number(vmid);
  const { status } = localGuest(context.state, context.node, "lxc", id);
  if (status === "stopped") throw new ToolError(`container '${id}' not running!`);
  if (separator !== "--" || command.length === 0) throw new ToolError("missing command");
  const known = command.length === 1 && command[0] === "/bin/true";
  if (known && !faultsOf(context.state, id).silent) return 0;
  throw new ToolError(`lxc-attach: ${id}: Failed to exec "${command[0]}"`);
}

export async function guestTool(context: Context): Promise<number> {
  if (context.tool === "pct" && context.argv[0] === "exec") return execute(context);
  const { name, words } = splitCommand(context);
  const command = `${context.tool} ${name}`;
  const parsed = parseArguments(command, words, context.state.release);
  const kind: GuestKind = context.tool === "qm" ? "qemu" : "lxc";
  if (READERS.has(name)) return (await import("./guest_info.ts")).guestInfo(context, kind, name, parsed);
  checkQuorum(context.state);
  const vmid = parsed.number("vmid")!;
  if (WRITERS.has(name)) return (await import("./guest_set.ts")).guestSet(context, kind, name, parsed);
  if (name === "restore") return await (await import("./pct_restore.ts")).pctRestore(context, parsed);
  const early = refuseEarly(context, kind, name, vmid);
  if (early !== undefined) return early;
  if (name === "destroy") refuseDestroy(context, kind, vmid, parsed);
  if (name === "agent" || name === "guest cmd") localGuest(context.state, context.node, kind, vmid);
  const data: GuestTask = { kind, name, options: Object.fromEntries(parsed.values) };
  return await runTask(context, { tool: command, task: "guest", vmid, data });
}
