import type { Command } from "commander";
import { readOptions } from "../config/doors.ts";
import { UserError } from "../core/errors.ts";
import { decoderTools } from "../setup/decoders.ts";
import { thisMachine } from "../setup/local_node.ts";
import { findSnapshot, isWanted } from "../store/choose.ts";
import { type ListedArchive, type ListedSnapshot, readStore } from "../store/snapshot_reader.ts";
import { missingArchives, verifyArchive } from "../store/verify.ts";
import type { CliContext } from "./context.ts";
import { addTableFlags, FROM_TEXT, once, openDoors, SNAPSHOT_TEXT } from "./flags.ts";
import { sizeText } from "../core/units.ts";

interface Flags {
  from: string;
  snapshot?: string;
  json?: true;
  [flag: string]: unknown;
}

/** Declares `verify`. */
export function declareVerify(command: Command): void {
  command.description(
    "prove archives whole: hash, decompress, walk to the end, compare with what was recorded",
  )
    .requiredOption(
      "--from <PATH>",
      FROM_TEXT,
      once("--from"),
    )
    .option("--snapshot <ID>", SNAPSHOT_TEXT, once("--snapshot"));
  addTableFlags(command, "store");
}

interface Finding {
  path: string;
  vmid?: number | undefined;
  bytes?: number;
  problems: string[];
}

/** Runs `verify`. */
export async function runVerify(flags: Flags, context: CliContext): Promise<void> {
  const { terminal } = context;
  const { vmid: vmids } = readOptions("store", await openDoors("store", flags, context.environment));
  const listing = await readStore(flags.from);
  const snapshots = flags.snapshot === undefined
    ? listing.snapshots
    : [findSnapshot(listing, flags.snapshot)];
  const plain = flags.snapshot === undefined ? listing.plain : [];
  const wanted = (archives: ListedArchive[]) => archives.filter((entry) => isWanted(entry, { vmids }));
  let checked = 0;
  let damaged = 0;
  const tell = async (finding: Finding) => {
    checked++;
    if (finding.problems.length > 0) damaged++;
    await show(finding, flags, context);
  };

  for (const snapshot of snapshots) {
    if (snapshot.state === "running") {
      terminal.say(`Snapshot "${snapshot.id}" is being written: only its finished archives are checked`);
    }
    if (snapshot.damage.length > 0) await tell({ path: snapshot.path, problems: snapshot.damage });
    for (const name of missingArchives(snapshot)) {
      await tell({
        path: `${snapshot.path}/${name}`,
        problems: ["the report tells of it, but it is not there"],
      });
    }
    for (const archive of wanted(snapshot.archives)) {
      await tell(await prove(archive, snapshot));
    }
  }
  for (const archive of wanted(plain)) await tell(await prove(archive));

  if (checked === 0) {
    throw new UserError("usage", `Cannot verify "${flags.from}": it holds no archive that was asked for`);
  }
  if (damaged > 0) throw new UserError("damage", `Damaged: ${damaged} of ${checked}`);
  if (!flags.json) await terminal.out(`Whole: ${checked} of ${checked}`);
}

async function prove(archive: ListedArchive, snapshot?: ListedSnapshot): Promise<Finding> {
  const machine = thisMachine();
  const from = { open: () => machine.files.open(archive.path), decoder: decoderTools(machine) };
  const problems = await verifyArchive(archive, snapshot, from);
  return { path: archive.path, vmid: archive.vmid, bytes: archive.bytes, problems };
}

async function show(finding: Finding, flags: Flags, { terminal }: CliContext): Promise<void> {
  const { path, vmid, bytes, problems } = finding;
  const good = problems.length === 0;
  if (flags.json) {
    await terminal.out(JSON.stringify({ type: "archive", path, vmid, bytes, good, problems }));
  } else if (good) {
    await terminal.out(`ok       ${path}  ${sizeText(bytes ?? 0)}`);
  } else {
    await terminal.out(`DAMAGED  ${path}: ${problems.join("; ")}`);
  }
}
