/** Entry of all simulated tools: `main.ts TOOL STATE_DIRECTORY NODE ARGUMENT…`. */
import { type Context, ToolError, warn } from "./context.ts";
import { appendRecord, readState } from "./state.ts";

async function runTool(context: Context): Promise<number> {
  switch (context.tool) {
    case "vzdump":
      return await (await import("./vzdump.ts")).vzdump(context);
    case "qmrestore":
      return await (await import("./qmrestore.ts")).qmrestore(context);
    case "qm":
    case "pct":
      return await (await import("./guest_tools.ts")).guestTool(context);
    case "pvesh":
      return (await import("./pvesh.ts")).pvesh(context);
    default:
      throw new ToolError(`unknown tool '${context.tool}'`);
  }
}

/** What a user without root rights sees; without the cluster file system root sees almost the same. */
function denial(context: Context): string | undefined {
  const { requireRoot, clusterDown } = context.state.knobs;
  const reason = requireRoot && Deno.uid() !== 0
    ? "Unknown error -1"
    : clusterDown
    ? "Connection refused"
    : undefined;
  if (reason === undefined) return undefined;
  const lines = [1, 2, 3].map((attempt) => `ipcc_send_rec[${attempt}] failed: ${reason}`);
  return [...lines, `Unable to load access control list: ${reason}`].join("\n");
}

async function runRecorded(context: Context): Promise<number> {
  if (context.state.knobs.localeWarnings) {
    warn("perl: warning: Setting locale failed.");
    warn('perl: warning: Falling back to the standard locale ("C").');
  }
  const denied = denial(context);
  if (denied !== undefined) throw new ToolError(denied);
  // Stricter than the real tools, which would take over the terminal's foreground process group.
  if (Deno.stdin.isTerminal() && !Deno.env.has("PVE_SIM_ALLOW_TTY")) {
    throw new ToolError("simulated node: refusing a terminal on stdin");
  }
  return await runTool(context);
}

async function main(): Promise<number> {
  const [tool = "", dir = "", node = "", ...argv] = Deno.args;
  if (tool === "worker") return await (await import("./worker.ts")).runWorker(dir, node, argv[0]!);
  const context: Context = { dir, node, tool, argv, state: readState(dir) };
  const id = crypto.randomUUID();
  appendRecord(dir, "calls.jsonl", { id, tool, node, argv, pid: Deno.pid, started: Date.now() });
  let exit: number;
  try {
    exit = await runRecorded(context);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    warn(error.message);
    exit = error.status;
  }
  appendRecord(dir, "calls.jsonl", { id, ended: Date.now(), exit });
  return exit;
}

Deno.exit(await main());
