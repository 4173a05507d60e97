import { messageOf, UserError } from "../../core/errors.ts";
import type { SshTrust } from "../remote/ssh_target.ts";
import { type KnownHost, parseKnownHosts } from "./known_hosts.ts";

/** Files of the system that ssh(1) reads besides the user's. */
const SYSTEM_FILES = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/**
 * Every known host of the user's files (or `trust.knownHosts` instead), ours and the system's; a missing file
 * knows none.
 *
 * @throws {UserError} of kind `usage` when a file cannot be read, or `trust.knownHosts` is missing
 */
export async function readKnownHosts(
  trust: Pick<SshTrust, "knownHosts" | "recordIn">,
  home: string | undefined,
  system: readonly string[] = SYSTEM_FILES,
): Promise<KnownHost[]> {
  const users = trust.knownHosts !== undefined
    ? [trust.knownHosts]
    : home === undefined
    ? []
    : [`${home}/.ssh/known_hosts`, `${home}/.ssh/known_hosts2`];
  const known: KnownHost[] = [];
  for (const file of new Set([...users, trust.recordIn, ...system])) {
    known.push(...parseKnownHosts(await readFile(file, file === trust.knownHosts), file));
  }
  return known;
}

async function readFile(file: string, mustExist: boolean): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && !mustExist) return "";
    throw new UserError("usage", `Cannot read known hosts from "${file}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Adds `line` to `file` unless it is there, and answers whether it was added. The file is made when missing, 0600,
 * in a folder made 0700.
 */
export async function recordHostKey(file: string, line: string): Promise<boolean> {
  const folder = file.slice(0, file.lastIndexOf("/"));
  if (folder !== "") await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  using handle = await Deno.open(file, { read: true, append: true, create: true, mode: 0o600 });
  // Two processes that see the same new machine must not write into each other's line.
  await handle.lock(true);
  const text = await Deno.readTextFile(file);
  if (text.split("\n").includes(line)) return false;
  const start = text === "" || text.endsWith("\n") ? "" : "\n";
  const bytes = new TextEncoder().encode(`${start}${line}\n`);
  for (let written = 0; written < bytes.length;) written += await handle.write(bytes.subarray(written));
  await handle.sync();
  return true;
}
