import type { SshTarget } from "../remote/ssh_target.ts";

/** Port that names nothing in known_hosts and in labels. */
const DEFAULT_PORT = 22;

/** What to call an account in messages: `root@pve1`, `root@pve1:2222`, `root@[fd00::1]:2222`. */
export function accountLabel({ user, host, port }: SshTarget): string {
  if (port === DEFAULT_PORT) return `${user}@${host}`;
  return host.includes(":") ? `${user}@[${host}]:${port}` : `${user}@${host}:${port}`;
}

/** Names under which a machine's keys stand in known_hosts, as OpenSSH forms them. */
export interface HostNames {
  /** Where its key is looked up and recorded: `pve1`, `[pve1]:2222`, or the alias as it is. */
  recorded: string;
  /** The bare host, whose key is taken too when nothing is recorded with its port (ssh(1), sshconnect.c). */
  withoutPort?: string;
}

/** How `target` is looked up in known_hosts. */
export function hostNames({ host, port, hostKeyAlias }: SshTarget): HostNames {
  if (hostKeyAlias !== undefined) return { recorded: hostKeyAlias.toLowerCase() };
  const name = host.toLowerCase();
  return port === DEFAULT_PORT ? { recorded: name } : { recorded: `[${name}]:${port}`, withoutPort: name };
}
