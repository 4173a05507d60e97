import { UserError } from "../../core/errors.ts";
import { usableSpace } from "../../core/space.ts";
import { sizeText } from "../../core/units.ts";
import { requireActiveStorage } from "../../proxmox/work_dir.ts";
import type { NodeCheck, Patient } from "../check.ts";
import { fine, problem, type Sighting, warning } from "../finding.ts";

export const dumpDir: NodeCheck = {
  name: "dump_dir",
  async look(patient) {
    const { dumpDir, node } = patient;
    const wrong = await lookAtPlace(patient, dumpDir, "give another directory with --dump-dir, or make it");
    if (wrong.some(({ severity }) => severity === "problem")) return wrong;
    const space = await node.runner.files.freeSpace(dumpDir);
    const usable = usableSpace(space);
    if (usable === 0) {
      const text = `"${dumpDir}" has only ${sizeText(space.free)} free, and max(5 %, 2 GiB) stay free:` +
        " no archive can be staged, no dump written to a file";
      return [...wrong, problem(text, "make room, or give another directory with --dump-dir")];
    }
    return [...wrong, fine(`"${dumpDir}": archives up to ${sizeText(usable)} can be staged`)];
  },
};

export const tmpdir: NodeCheck = {
  name: "tmpdir",
  async look(patient) {
    const path = patient.tmpdir ?? patient.vzdumpConf.tmpdir;
    if (path === undefined) return [];
    const from = patient.tmpdir === undefined ? "in /etc/vzdump.conf" : "with --tmpdir";
    const wrong = await lookAtPlace(patient, path, `make it, or name another ${from}`);
    return wrong.length > 0 ? wrong : [fine(`"${path}" can be used`)];
  },
};

/** What speaks against a directory that vzdump works in. */
async function lookAtPlace(patient: Patient, path: string, remedy: string): Promise<Sighting[]> {
  const { node } = patient;
  const { files } = node.runner;
  try {
    await requireActiveStorage(node, path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [problem(error.message, error.options.hint)];
  }
  const there = await files.stat(path);
  if (there?.kind !== "dir") {
    return [problem(`"${path}" ${there ? "is no directory" : "does not exist"}`, remedy)];
  }
  const { status } = await node.runner.run(["test", "-w", path], { accept: [0, 1] });
  if (status !== 0) return [problem(`"${path}" cannot be written to`, "remount its filesystem for writing")];
  return await lookForClosed(patient, path);
}

/** vzdump's tar of an unprivileged container runs under mapped uids and must get to its directory. */
async function lookForClosed({ node, guests }: Patient, path: string): Promise<Sighting[]> {
  const parts = path.split("/").filter(Boolean);
  const ways = parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
  const modes = await Promise.all(ways.map((way) => node.runner.files.stat(way)));
  const closed = ways.find((_, index) => ((modes[index]?.mode ?? 0o777) & 0o001) === 0);
  if (closed === undefined) return [];
  const text = `"${closed}" is closed to others: backups of unprivileged containers through "${path}" fail`;
  const remedy = `run: chmod o+x ${JSON.stringify(closed)}`;
  return [guests.some(({ kind }) => kind === "lxc") ? problem(text, remedy) : warning(text, remedy)];
}
