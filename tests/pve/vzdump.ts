/** vzdump, the part before the worker: options, which guests, and the cases that end silently. */
import { parseArguments, type ParsedArguments } from "./args.ts";
import { type Context, ToolError } from "./context.ts";
import { runTask } from "./job.ts";
import { backupOptions } from "./vzdump_options.ts";

const USAGE = "vzdump {<vmid>} [OPTIONS]";

function parameterError(reason: string): ToolError {
  return new ToolError(`400 Parameter verification failed.\n${reason}\n${USAGE}`);
}

const vmidList = (text: string) => text.split(/[,;\s]+/).filter((word) => word !== "").map(Number);

function checkConflicts(parsed: ParsedArguments): void {
  const given = (name: string) => parsed.text(name) !== undefined;
  if (!given("vmid") && !given("all") && !given("exclude") && !given("pool")) {
    throw parameterError("vmid: property is missing");
  }
  for (const name of ["all", "exclude", "pool"]) {
    if (given("vmid") && given(name)) throw parameterError(`${name}: option conflicts with option 'vmid'`);
  }
}

/** Guests to back up: those of this node (and ids that exist nowhere), and those of other nodes. */
function selectGuests(context: Context, parsed: ParsedArguments): { local: number[]; foreign: number[] } {
  const { guests, pools } = context.state;
  const pool = parsed.text("pool");
  if (pool !== undefined && pools[pool] === undefined) throw new ToolError(`pool '${pool}' does not exist`);
  let wanted: number[];
  if (parsed.text("vmid") !== undefined) {
    wanted = [...new Set(vmidList(parsed.text("vmid")!))];
  } else {
    const excluded = new Set(vmidList(parsed.text("exclude") ?? ""));
    wanted = Object.values(guests)
      .filter((guest) => pool === undefined ? guest.node === context.node : guest.pool === pool)
      .map((guest) => guest.vmid)
      .filter((vmid) => !excluded.has(vmid));
  }
  wanted.sort((a, b) => a - b);
  const isForeign = (vmid: number) => guests[vmid] !== undefined && guests[vmid].node !== context.node;
  return { local: wanted.filter((vmid) => !isForeign(vmid)), foreign: wanted.filter(isForeign) };
}

/** `vzdump --stop` ends whatever run the pid file names. */
function stopRunning(context: Context): number {
  try {
    const pid = Number(Deno.readTextFileSync(`${context.dir}/nodes/${context.node}/vzdump.pid`));
    Deno.kill(pid, "SIGTERM");
  } catch {
    // Nothing runs.
  }
  return 0;
}

export async function vzdump(context: Context): Promise<number> {
  const parsed = parseArguments("vzdump", context.argv, context.state.release);
  if (parsed.flag("stop")) return stopRunning(context);
  checkConflicts(parsed);
  const node = parsed.text("node");
  if (node !== undefined && node !== context.node) return 0;
  const selected = selectGuests(context, parsed);
  const everything = parsed.text("vmid") === undefined && parsed.text("pool") === undefined;
  if (selected.local.length === 0 && !everything) return 0;
  if (parsed.flag("stdout") && selected.local.length !== 1) {
    throw new ToolError("you can only backup a single VM with option --stdout");
  }
  const data = backupOptions(context, parsed, selected);
  const vmid = selected.local.length === 1 ? selected.local[0]! : null;
  return await runTask(
    context,
    { tool: "vzdump", task: "vzdump", vmid, data },
    { archiveOnStdout: data.stdout, quiet: parsed.flag("quiet") },
  );
}
