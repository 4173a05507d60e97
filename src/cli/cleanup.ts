import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import { messageOf, UserError } from "../core/errors.ts";
import { sizeText } from "../core/units.ts";
import { findLeftovers, type Leftover, type Leftovers } from "../setup/leftovers.ts";
import { openNodes } from "../setup/reach.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, once, openDoors } from "./flags.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  yes?: true;
  unlock?: true;
  store?: string;
  json?: true;
  [flag: string]: unknown;
}

/** Declares `cleanup`. */
export function declareCleanup(command: Command): void {
  command.description("show what runs that were killed left behind, and remove it")
    .option(
      "--yes",
      "remove it without asking; where there is no terminal to ask, it is only shown without this",
    )
    .option(
      "--unlock",
      "also unlock guests that are locked for a backup of a run that was killed, where no vzdump is at work",
    )
    .option(
      "--store <DIR>",
      "also remove part files of runs that were killed from this directory; its manifests tell --unlock which guests they dumped",
      once("--store"),
    );
  addTableFlags(command, "cleanup");
}

/** Runs `cleanup`. */
export async function runCleanup(flags: Flags, context: CliContext): Promise<void> {
  const { terminal, environment, now } = context;
  const doors = await openDoors("cleanup", flags, environment, (line) => terminal.say(line));
  const options = readOptions("cleanup", doors);
  const nodes = await openNodes(options, terminal);
  try {
    const found = await findLeftovers(nodes, {
      dumpDir: options.dump_dir,
      store: flags.store,
      unlock: flags.unlock === true,
      maxNodes: options.max_nodes,
      now: now(),
    });
    if (!flags.json) await showFound(found, terminal);
    const isWanted = found.leftovers.length > 0 && await isConfirmed(found.leftovers, flags, terminal);
    await conclude(found, isWanted ? await removeAll(found.leftovers) : undefined, flags, terminal);
  } finally {
    await nodes.close();
  }
}

/** Why each leftover is still there, in their order; nothing for one that is gone. */
async function removeAll(leftovers: readonly Leftover[]): Promise<(string | undefined)[]> {
  const reasons: (string | undefined)[] = [];
  for (const leftover of leftovers) reasons.push(await leftover.remove().catch(messageOf));
  return reasons;
}

async function showFound({ leftovers, staying }: Leftovers, terminal: Terminal): Promise<void> {
  for (const { kind, node, what, text, bytes } of leftovers) {
    const size = bytes === undefined ? "" : `, ${sizeText(bytes)}`;
    await terminal.out(`${kind.padEnd(9)}  ${inPlace(node, what)}${size}: ${text}`);
  }
  for (const { node, what, reason } of staying) {
    await terminal.out(`${"stays".padEnd(9)}  ${inPlace(node, what)}: ${reason}`);
  }
}

const inPlace = (node: string | undefined, what: string): string =>
  node === undefined ? what : `${node}  ${what}`;

async function isConfirmed(
  leftovers: readonly Leftover[],
  flags: Flags,
  terminal: Terminal,
): Promise<boolean> {
  if (flags.yes) return true;
  if (!terminal.canAsk) return false;
  const question = deeds(leftovers);
  return await terminal.confirm(`${question.charAt(0).toUpperCase()}${question.slice(1)}?`);
}

/** `remove 2 directories and 1 part file, unlock VM 101`. */
function deeds(leftovers: readonly Leftover[]): string {
  const ofKind = (kind: Leftover["kind"]) => leftovers.filter((leftover) => leftover.kind === kind);
  const [directories, parts, locks] = [ofKind("directory"), ofKind("part"), ofKind("lock")];
  const guests = ofKind("guest");
  const removed = [
    ...(directories.length > 0
      ? [`${directories.length} ${directories.length === 1 ? "directory" : "directories"}`]
      : []),
    ...(parts.length > 0 ? [`${parts.length} part file${parts.length === 1 ? "" : "s"}`] : []),
    ...(guests.length > 0 ? [guests.map(({ what }) => what).join(", ")] : []),
  ];
  return [
    ...(removed.length > 0 ? [`remove ${removed.join(" and ")}`] : []),
    ...(locks.length > 0 ? [`unlock ${locks.map(({ what }) => what).join(", ")}`] : []),
  ].join(", ");
}

/** Tells what has become of all that was found; `reasons` is absent when nothing was to be removed. */
async function conclude(
  { leftovers, staying, unseen }: Leftovers,
  reasons: readonly (string | undefined)[] | undefined,
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  const gone = leftovers.filter((_, index) => reasons !== undefined && reasons[index] === undefined);
  if (flags.json) {
    for (const [index, { kind, node, what, bytes, text }] of leftovers.entries()) {
      const removed = gone.includes(leftovers[index] as Leftover);
      await terminal.out(
        JSON.stringify({
          type: "leftover",
          kind,
          node,
          what,
          bytes,
          text,
          removed,
          reason: reasons?.[index],
        }),
      );
    }
    for (const stays of staying) await terminal.out(JSON.stringify({ type: "staying", ...stays }));
    for (const node of unseen) await terminal.out(JSON.stringify({ type: "unseen", ...node }));
    await terminal.out(JSON.stringify({ type: "summary", found: leftovers.length, removed: gone.length }));
  } else if (leftovers.length === 0) {
    await terminal.out("Nothing to clean up");
  } else if (gone.length > 0) {
    await terminal.out(`Done: ${deeds(gone)}`);
  }
  if (leftovers.length > 0 && reasons === undefined) {
    terminal.say(`Nothing was removed${terminal.canAsk ? "" : "; pass --yes to remove it"}`);
  }
  const failed = leftovers.flatMap(({ what }, index) => {
    const reason = reasons?.[index];
    return reason === undefined ? [] : [`"${what}" is still there: ${reason}`];
  });
  const missed = unseen.map(({ node, error }) => `Node "${node}" was not looked at: ${error}`);
  for (const sentence of missed) terminal.say(sentence);
  if (failed.length + unseen.length === 0) return;
  const kind = gone.length > 0 || failed.length === 0 ? "partial" : "failed";
  throw new UserError(kind, failed.length > 0 ? failed.join("\n") : "Some nodes were not looked at");
}
