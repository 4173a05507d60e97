/** `/nodes/N/capabilities/qemu/machines`: the machine types of the QEMU that a release ships. */
import { type Context, ToolError } from "./context.ts";
import { atLeast } from "./state.ts";

/** The QEMU that each release came with, newest first. */
const QEMU_OF: readonly [string, string][] = [
  ["9.1", "10.1"],
  ["9.0", "10.0"],
  ["8.4", "9.2"],
  ["8.3", "9.0"],
  ["8.2", "8.1"],
  ["8.1", "8.1"],
  ["8.0", "8.0"],
  ["7.4", "7.2"],
  ["7.3", "7.1"],
  ["7.2", "6.2"],
  ["7.1", "6.1"],
  ["7.0", "6.0"],
];
const VERSIONS = [
  "10.1",
  "10.0",
  "9.2",
  "9.0",
  "8.1",
  "8.0",
  "7.2",
  "7.1",
  "6.2",
  "6.1",
  "6.0",
  "5.2",
  "4.0",
];

export function machineTypes(context: Context, [node = ""]: string[]): unknown {
  const { release, nodes } = context.state;
  if (nodes[node] === undefined) throw new ToolError(`no such node '${node}'`);
  const newest = QEMU_OF.find(([since]) => atLeast(release, since))?.[1] ?? "6.0";
  const known = VERSIONS.slice(VERSIONS.indexOf(newest));
  return ["i440fx", "q35"].flatMap((type) =>
    known.map((version) => ({ id: `pc-${type}-${version}`, type, version }))
  );
}
