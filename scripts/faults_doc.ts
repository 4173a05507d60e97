/** Renders the table of faults, which the tests run row by row, into a document. */
import { DAMAGES } from "../tests/faults/cases_damage.ts";
import { CLOCKS } from "../tests/faults/cases_clocks.ts";
import { FAILING_DISKS } from "../tests/faults/cases_disks.ts";
import { FULL_DISKS, SEVERAL_RUNS, STRANGE_NAMES } from "../tests/faults/cases_places.ts";
import { RESTORE_PLANS, RESTORE_TOOLS } from "../tests/faults/cases_restore.ts";
import { STREAMED_RESTORES } from "../tests/faults/cases_stream.ts";
import {
  VZDUMP_ENDINGS,
  VZDUMP_INTERRUPTIONS,
  VZDUMP_LOGS,
  VZDUMP_REFUSALS,
  VZDUMP_SETTINGS,
} from "../tests/faults/cases_vzdump.ts";
import { table } from "./markdown.ts";

/** What the document tells of a case. */
interface Row {
  name: string;
  origin: string;
  status: number;
  outcome: string;
}

const CHAPTERS: readonly { title: string; cases: readonly Row[] }[] = [
  VZDUMP_ENDINGS,
  VZDUMP_REFUSALS,
  VZDUMP_SETTINGS,
  VZDUMP_LOGS,
  VZDUMP_INTERRUPTIONS,
  RESTORE_PLANS,
  RESTORE_TOOLS,
  STREAMED_RESTORES,
  { title: "Damaged archives", cases: DAMAGES },
  FULL_DISKS,
  FAILING_DISKS,
  STRANGE_NAMES,
  CLOCKS,
  SEVERAL_RUNS,
];

const INTRODUCTION = `# Faults and outcomes

What happens when something goes wrong. Each row is a test that runs the compiled binary against the simulated
node and holds it to all of this: the exit status; what \`--json\` and the report say of each guest; that every
archive called good verifies; that in the dump directory and in the store nothing is left but the snapshot, no
part file, no directory of a run; that no lock is left and no process lives on; that other people's files there
are the same byte by byte; that guests run or not as before, and their disks are the same byte by byte, unless the
row says otherwise. The second column is what the tools, the kernel or the archive do.

Beside the rows, backups and restores are ended at random moments by SIGINT, SIGTERM, SIGHUP and SIGKILL, of the
program alone and of all its processes. After \`plakar-proxmox cleanup --yes --unlock\` the same must be true, what
is listed must verify, and no guest may be other than before without being told of
(\`scripts/deno run -A scripts/random_kills.ts 200\`).

This file is generated from the tests: do not edit it.`;

/** The whole document. */
export function renderFaults(): string {
  const chapters = CHAPTERS.map(({ title, cases }) => {
    const rows = cases.map(({ name, origin, status, outcome }) => [name, origin, status, outcome]);
    return `## ${title}\n\n${table(["case", "what happens", "status", "outcome"], rows)}`;
  });
  return [INTRODUCTION, ...chapters].join("\n\n") + "\n";
}
