import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import { UserError } from "../core/errors.ts";
import { findSnapshot, isWanted } from "../store/choose.ts";
import { type ListedArchive, type ListedSnapshot, readStore } from "../store/snapshot_reader.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, FROM_TEXT, once, openDoors, SNAPSHOT_TEXT } from "./flags.ts";
import { ageText, tableLines } from "./table.ts";
import { sizeText } from "../core/units.ts";

/** Declares `list`. */
export function declareList(command: Command): void {
  command.description("list the archives in a directory by guest, the newest first")
    .requiredOption("--from <PATH>", FROM_TEXT, once("--from"))
    .option("--snapshot <ID>", SNAPSHOT_TEXT, once("--snapshot"));
  addTableFlags(command, "store");
}

interface Flags {
  from: string;
  snapshot?: string;
  json?: true;
  [flag: string]: unknown;
}

interface Row {
  archive: ListedArchive;
  snapshot?: ListedSnapshot;
  name: string;
}

/** Runs `list`. */
export async function runList(flags: Flags, context: CliContext): Promise<void> {
  const { terminal } = context;
  const { vmid: vmids } = readOptions("store", await openDoors("store", flags, context.environment));
  const listing = await readStore(flags.from);
  const snapshots = flags.snapshot === undefined
    ? listing.snapshots
    : [findSnapshot(listing, flags.snapshot)];
  const all: Row[] = snapshots.flatMap((snapshot) =>
    snapshot.archives.map((archive) => ({ archive, snapshot, name: nameOf(archive, snapshot) }))
  );
  if (flags.snapshot === undefined) all.push(...listing.plain.map((archive) => ({ archive, name: "" })));
  const rows = all.filter(({ archive }) => isWanted(archive, { vmids })).sort((a, b) =>
    (a.archive.vmid ?? 0) - (b.archive.vmid ?? 0) || time(b.archive) - time(a.archive)
  );
  const now = context.now().getTime();
  if (flags.json) { for (const row of rows) await terminal.out(JSON.stringify(jsonOf(row, now))); }
  else for (const line of textOf(rows, now)) await terminal.out(line);

  for (const snapshot of snapshots) {
    if (snapshot.state === "incomplete") {
      terminal.say(
        `Snapshot "${snapshot.id}" is incomplete: its run ended before its end; its whole archives are listed`,
      );
    }
    if (snapshot.state === "running") terminal.say(`Snapshot "${snapshot.id}" is being written`);
    for (const guest of snapshot.report?.guests ?? []) {
      if (guest.outcome !== "good") {
        terminal.say(`Snapshot "${snapshot.id}": ${guest.vmid} is missing: ${guest.error ?? guest.outcome}`);
      }
    }
  }
  const damaged = snapshots.filter((snapshot) => snapshot.state === "damaged");
  if (damaged.length === 0) return;
  const texts = damaged.map((snapshot) => `"${snapshot.id}" (${snapshot.damage.join("; ")})`);
  throw new UserError("damage", `Damaged documents in snapshot ${texts.join(", ")}`, {
    hint: "the archives may still be whole; see verify",
  });
}

const time = (archive: ListedArchive): number => archive.taken?.getTime() ?? 0;

function nameOf(archive: ListedArchive, snapshot: ListedSnapshot): string {
  return snapshot.manifest?.guests.find((guest) => guest.vmid === archive.vmid)?.name ?? "";
}

function jsonOf({ archive, snapshot, name }: Row, now: number): Record<string, unknown> {
  return {
    type: "archive",
    vmid: archive.vmid,
    name: name || undefined,
    kind: archive.kind,
    taken: archive.taken?.toISOString(),
    ageSeconds: archive.taken ? Math.round((now - time(archive)) / 1000) : undefined,
    bytes: archive.bytes,
    sha256: archive.sha256,
    snapshot: snapshot?.id,
    state: snapshot?.state ?? "plain",
    path: archive.path,
  };
}

function textOf(rows: readonly Row[], now: number): string[] {
  return tableLines(
    ["VMID", "NAME", "KIND", "AGE", "SIZE", "SNAPSHOT", "STATE", "ARCHIVE"],
    rows.map(({ archive, snapshot, name }) => [
      archive.vmid === undefined ? "?" : String(archive.vmid),
      name,
      archive.kind,
      archive.taken ? ageText(now - time(archive)) : "?",
      sizeText(archive.bytes),
      snapshot?.id ?? "-",
      snapshot?.state ?? "plain",
      archive.name,
    ]),
  );
}
