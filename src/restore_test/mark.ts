import type { ConfigValues } from "../archive/guest_config.ts";

/** Start of the name of every guest that a restore test makes. */
export const TEST_NAME_PREFIX = "restore-test-";

const TAG = /(?:^|[;, ])restore-test-([0-9a-f]{32})(?=$|[;, ])/;
const WORK_DIR = /"(\/[^"]*\/plakar-proxmox-[0-9a-f]{32}-\d+)"/;

/** Which run made a guest, and the directory whose lock tells whether that run lives. */
export interface Mark {
  run: string;
  workDir: string;
}

/** What is set in the configuration of a guest to mark it; `vmid`: the archive's, for people. */
export function markValues(
  { run, workDir }: Mark,
  kind: "qemu" | "lxc",
  vmid: number,
): Readonly<Record<string, string>> {
  return {
    [kind === "qemu" ? "name" : "hostname"]: `${TEST_NAME_PREFIX}${vmid}`,
    tags: `restore-test-${run}`,
    description: `Made by a restore test of plakar-proxmox, whose directory is "${workDir}"`,
  };
}

/** The run that made a guest, by its tag; `undefined` for any guest that no restore test made. */
export function runOf(config: ConfigValues): string | undefined {
  const name = config.name ?? config.hostname ?? "";
  return name.startsWith(TEST_NAME_PREFIX) ? TAG.exec(config.tags ?? "")?.[1] : undefined;
}

/** The run's directory on the guest's node, where its description still tells. */
export function workDirOf(config: ConfigValues): string | undefined {
  return WORK_DIR.exec(decoded(config.description ?? ""))?.[1];
}

/** `qm config` prints the description with `%0A` for line ends and the like (pve-common's Tools.pm, `encode_text`). */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
