import type { Runner } from "../../runner/runner.ts";
import type { NodeCheck } from "../check.ts";
import { fine, note, problem, type Sighting, warning } from "../finding.ts";

/** What a setting of vzdump.conf does to our dumps, by its name. `null`: nothing worth a word. */
const MEANINGS: Readonly<Record<string, (value: string) => Sighting | null>> = {
  storage: (value) => note(`storage: ${value} does not apply: every dump has a directory of its own`),
  dumpdir: (value) => note(`dumpdir: ${value} does not apply: dump_dir says where working files go`),
  mode: (value) => note(`mode: ${value} does not apply: backup_mode says how guests are held consistent`),
  compress: (value) => note(`compress: ${value} does not apply: backup_compression takes its place`),
  lockwait: (value) => note(`lockwait: ${value} does not apply: the option lockwait takes its place`),
  "prune-backups": () => note("prune-backups does not apply: nothing is ever pruned by our dumps"),
  maxfiles: () => note("maxfiles does not apply: nothing is ever pruned by our dumps"),
  remove: () => note("remove does not apply: nothing is ever pruned by our dumps"),
  bwlimit: (value) =>
    value === "0"
      ? null
      : note(`bwlimit: ${value} limits dumps to ${value} KiB/s unless the option bwlimit is given`),
  ionice: (value) => note(`ionice: ${value} is in force unless the option ionice is given`),
  pigz: (value) => value === "0" ? null : note(`pigz: ${value} is in force with backup_compression=gzip`),
  zstd: (value) => note(`zstd: ${value} threads are in force unless the option zstd_threads is given`),
  stopwait: (value) => note(`stopwait: ${value} minutes are in force with backup_mode=stop`),
  performance: (value) => note(`performance: ${value} is in force`),
  fleecing: (value) => note(`fleecing: ${value} is in force unless the option fleecing is given`),
  "exclude-path": (value) =>
    warning(
      `exclude-path: ${value}: backups of containers do not hold these files`,
      "remove the line to have them",
    ),
  stdexcludes: (value) =>
    isOff(value) ? note("stdexcludes: 0: backups of containers hold /tmp and /var/tmp too") : null,
  quiet: (value) =>
    isOff(value) ? null : warning("quiet hides vzdump's log: failures have no reason", "remove the line"),
  mailto: () => note("mailto is silenced by notify=off, in force with notify=pve"),
  mailnotification: () => note("mailnotification counts only with notify=pve"),
  "notification-mode": () => note("notification-mode counts only with notify=pve"),
  "notification-policy": () => note("notification-policy counts only with notify=pve"),
};

const isOff = (value: string): boolean => /^(0|off|no|false)$/i.test(value);

/** What the settings of a node's vzdump.conf do to our dumps, besides its hook script. */
export function explainSettings(conf: Readonly<Record<string, string>>): Sighting[] {
  return Object.entries(conf).flatMap(([name, value]) => MEANINGS[name]?.(value) ?? []);
}

export const vzdumpConf: NodeCheck = {
  name: "vzdump.conf",
  async look({ node, vzdumpConf }) {
    const seen = explainSettings(vzdumpConf);
    const { script } = vzdumpConf;
    if (script !== undefined) seen.push(await lookAtScript(script, node.runner));
    return seen.length > 0 ? seen : [fine("/etc/vzdump.conf has nothing that changes our dumps")];
  },
};

/** vzdump refuses every backup when its hook script is missing or cannot be executed. */
async function lookAtScript(script: string, runner: Runner): Promise<Sighting> {
  const { status } = await runner.run(["test", "-x", script], { accept: [0, 1] });
  if (status === 0) {
    const text = `script: "${script}" runs for our dumps too, with TARGET "-" where they are streamed`;
    return note(text, "pass --hooks false to leave it out");
  }
  const there = await runner.files.stat(script);
  const state = there ? "cannot be executed" : "does not exist";
  return problem(
    `script: "${script}" ${state}, so every dump fails`,
    "repair the line, or pass --hooks false",
  );
}
