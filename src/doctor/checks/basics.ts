import type { Runner } from "../../runner/runner.ts";
import type { NodeCheck } from "../check.ts";
import { fine, note, problem, type Sighting, warning } from "../finding.ts";

/** Majors of Proxmox VE whose tools this program was written for. */
const OLDEST = 7;
const NEWEST = 9;

/** Proxmox's own tools; without one of them nothing works. */
const PROXMOX_TOOLS = ["vzdump", "qmrestore", "qm", "pct", "pvesh"];

/** What vzdump asks for before it does anything (pve-manager, PVE/VZDump.pm). */
const VZDUMP_NEEDS = ["cp", "df", "sendmail", "rsync", "tar", "mount", "umount", "cstream", "ionice"];

/** What we run ourselves, and the package that has it. */
const OWN_NEEDS: Readonly<Record<string, string>> = {
  sh: "dash",
  find: "findutils",
  flock: "util-linux",
  stat: "coreutils",
  realpath: "coreutils",
};

/** Compressors, and the value of backup_compression that needs each. */
const COMPRESSORS: Readonly<Record<string, string>> = { zstd: "zstd", lzop: "lzo", gzip: "gzip" };

export const release: NodeCheck = {
  name: "release",
  look({ node: { release: { major, text } } }) {
    if (major < OLDEST) {
      const remedy = `upgrade the node to ${OLDEST}.0 or later`;
      return Promise.resolve([
        warning(`Proxmox VE ${text} is older than any release supported here`, remedy),
      ]);
    }
    if (major > NEWEST) {
      return Promise.resolve([note(`Proxmox VE ${text} is newer than this program`, "try a restore first")]);
    }
    return Promise.resolve([fine(`Proxmox VE ${text}`)]);
  },
};

export const rights: NodeCheck = {
  name: "rights",
  async look({ node: { runner } }) {
    const { stdout } = await runner.run(["id", "-u"]);
    const uid = stdout.trim();
    if (uid === "0") return [fine("commands run as root")];
    return [
      problem(`commands run as uid ${uid}, but Proxmox's tools need root`, "log in as root, or set sudo"),
    ];
  },
};

export const tools: NodeCheck = {
  name: "tools",
  async look({ node: { runner } }) {
    const missing = async (names: readonly string[]): Promise<string[]> => {
      const there = await Promise.all(names.map((name) => runner.hasTool(name)));
      return names.filter((_, index) => !there[index]);
    };
    const seen: Sighting[] = [];
    for (const tool of await missing(PROXMOX_TOOLS)) {
      seen.push(problem(`"${tool}" is missing`, "install Proxmox VE there"));
    }
    for (const tool of await missing(VZDUMP_NEEDS)) {
      seen.push(problem(`"${tool}" is missing, and vzdump refuses to start without it`, "install it there"));
    }
    for (const tool of await missing(Object.keys(OWN_NEEDS))) {
      seen.push(problem(`"${tool}" is missing`, `install the package "${OWN_NEEDS[tool]}"`));
    }
    for (const tool of await missing(Object.keys(COMPRESSORS))) {
      const use = `backups with backup_compression=${COMPRESSORS[tool]} and restores of them fail`;
      seen.push(warning(`"${tool}" is missing: ${use}`, `install the package "${tool}"`));
    }
    seen.push(...await grepReadsBinary(runner));
    return seen.length > 0 ? seen : [fine("all tools are there")];
  },
};

/** The guard of a dump reads vzdump's log with `grep -a`, which may hold anything. */
async function grepReadsBinary(runner: Runner): Promise<Sighting[]> {
  const text = 'printf "a\\0b\\n" | grep -aq "a.*b"';
  const { status } = await runner.run(["sh", "-c", text], { accept: [0, 1, 2, 126, 127] });
  if (status === 0) return [];
  const why = '"grep -a" does not read binary text: a dump that is cancelled may be cut in its cleanup';
  return [warning(why, 'install the package "grep"')];
}

/** Seconds that two clocks may differ before it is worth a word. */
const CLOCK_TOLERANCE = 5;

export const clock: NodeCheck = {
  name: "clock",
  async look({ node: { runner }, now }) {
    const before = now().getTime() / 1000;
    const { stdout } = await runner.run(["date", "+%s"]);
    const after = now().getTime() / 1000;
    // The node has read its clock at some moment between, and tells whole seconds.
    const there = Number(stdout.trim());
    const ahead = there - after > 0 ? there - after : there + 1 < before ? there + 1 - before : 0;
    if (!Number.isFinite(there)) return [warning("its clock cannot be read")];
    if (Math.abs(ahead) <= CLOCK_TOLERANCE) return [fine("its clock agrees with this machine's")];
    const seconds = Math.round(Math.abs(ahead));
    const direction = ahead > 0 ? "ahead of" : "behind";
    const text = `its clock is ${seconds} s ${direction} this machine's: archives carry the node's time`;
    return [warning(text, "synchronize the clocks of both, with chrony for example")];
  },
};
