import type { ProxmoxNode } from "./cluster.ts";

/** Where an administrator sets vzdump's defaults; its options there are those of the command line. */
const VZDUMP_CONF = "/etc/vzdump.conf";

/**
 * The node's defaults for vzdump, option to value. What we do not force on the command line (bwlimit, ionice,
 * tmpdir, exclude-path, performance, fleecing, stopwait, pigz, script) is in force from here. Empty where the file
 * cannot be read.
 */
export async function readVzdumpConf(node: ProxmoxNode): Promise<Record<string, string>> {
  const text = await node.runner.files.readText(VZDUMP_CONF).catch(() => null);
  return parseVzdumpConf(text ?? "");
}

/** Reads `option: value` lines; comments and everything else are passed over. */
export function parseVzdumpConf(text: string): Record<string, string> {
  const found = text.matchAll(/^[ \t]*([a-z][a-z-]*):[ \t]*(\S.*?)[ \t\r]*$/gm);
  return Object.fromEntries([...found].map(([, option = "", value = ""]) => [option, value]));
}
