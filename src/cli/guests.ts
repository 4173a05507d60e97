import type { Command } from "commander";
import { describeGuests, readVzdumpConfs } from "../backup/manifest.ts";
import { explainFailed, explainLeftOut, type Selected } from "../backup/select.ts";
import { readOptions } from "../config/doors.ts";
import { UserError } from "../core/errors.ts";
import type { ManifestGuest } from "../core/snapshot.ts";
import { selectOn } from "../setup/backup_setup.ts";
import { openNodes } from "../setup/reach.ts";
import { selectionOf } from "../setup/selection.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, openDoors } from "./flags.ts";
import { notHeldText, tableLines } from "./table.ts";
import type { Terminal } from "./terminal.ts";

/** Declares `guests`. */
export function declareGuests(command: Command): void {
  command.description("show the guests that a selection takes, and what a backup of them would not hold");
  addTableFlags(command, "guests");
}

/** Runs `guests`. */
export async function runGuests(flags: Record<string, unknown>, context: CliContext): Promise<void> {
  const { environment, terminal } = context;
  const doors = await openDoors("guests", flags, environment, (line) => terminal.say(line));
  const options = readOptions("guests", doors);
  const selection = selectionOf(options);
  const nodes = await openNodes(options, terminal);
  try {
    const selected = await selectOn(nodes.entry, selection);
    const confs = await readVzdumpConfs(nodes, selected.guests);
    await show(selected, await describeGuests(nodes.entry, selected.guests, confs), flags, terminal);
  } finally {
    await nodes.close();
  }
}

async function show(
  selected: Selected,
  guests: readonly ManifestGuest[],
  flags: Record<string, unknown>,
  terminal: Terminal,
): Promise<void> {
  const notTaken = [...selected.failed, ...selected.leftOut];
  const sentences = [...selected.failed.map(explainFailed), ...selected.leftOut.map(explainLeftOut)];
  if (flags.json) {
    for (const guest of guests) {
      const { config: _, ...shown } = guest;
      await terminal.out(JSON.stringify({ type: "guest", taken: true, ...shown }));
    }
    for (const { vmid, guest, reason } of notTaken) {
      await terminal.out(JSON.stringify({ type: "guest", ...guest, vmid, taken: false, reason }));
    }
  } else {
    const rows = guests.map((guest) => [
      String(guest.vmid),
      guest.name ?? "",
      guest.kind,
      guest.status + (guest.template ? ", template" : ""),
      guest.node,
      guest.pool ?? "",
      guest.tags.join(" "),
    ]);
    for (const line of tableLines(["VMID", "NAME", "KIND", "STATUS", "NODE", "POOL", "TAGS"], rows)) {
      await terminal.out(line);
    }
    for (const guest of guests) {
      for (const thing of guest.notHeld) {
        await terminal.out(`${guest.vmid}: a backup does not hold ${notHeldText(thing)}`);
      }
    }
  }
  for (const note of selected.notes) terminal.say(note);
  for (const sentence of sentences) terminal.say(sentence);
  if (notTaken.length > 0) {
    throw new UserError(
      guests.length > 0 ? "partial" : "failed",
      `${notTaken.length} of the guests would not be backed up`,
    );
  }
}
