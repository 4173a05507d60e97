import { isLoopback, originOf, parseLocation } from "../config/location.ts";
import type { ReachOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";

/** Which machine the options mean. */
export type Where = Pick<ReachOptions, "location" | "mode">;

/**
 * Whether the node to start from is reached over SSH, rather than being this machine.
 *
 * @throws {UserError} of kind `usage` for a remote node without a host
 */
export function isRemote({ location, mode }: Where): boolean {
  const { host } = parseLocation(location);
  if (mode === "remote" && host === "") {
    throw new UserError(
      "usage",
      "Cannot tell which node to reach: mode is remote, but location names no host",
      {
        hint: 'give a location such as "proxmox://root@pve1"',
      },
    );
  }
  return mode === "auto" ? !isLoopback(host) && !ownNames().has(host) : mode === "remote";
}

/** What names backups taken from there. */
export function originOfOptions(where: Where): string {
  return originOf(parseLocation(where.location), isRemote(where), Deno.hostname());
}

/** Names and addresses by which this machine can be meant. */
function ownNames(): Set<string> {
  const hostname = Deno.hostname().toLowerCase();
  const addresses = Deno.networkInterfaces().map(({ address }) => address.toLowerCase());
  return new Set([hostname, hostname.replace(/\..*$/, ""), ...addresses]);
}
