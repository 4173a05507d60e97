import { parseLocation } from "../config/location.ts";
import type { ReachOptions } from "../config/options.ts";
import type { SshOptions, SshTarget } from "../runner/remote/ssh_target.ts";
import { stateDir } from "./state_dir.ts";

/** What reaching nodes takes from outside. */
export interface ReachContext {
  /** Something the user should know, one sentence. */
  say(text: string): void;
  /** Default: that of this process. */
  environment?: Readonly<Record<string, string>>;
}

const DEFAULT_USER = "root";
const DEFAULT_PORT = 22;

/** The account that the options name; what the location says wins. */
export function targetOf(options: ReachOptions): SshTarget {
  const { host, port, user } = parseLocation(options.location);
  const given = { port: port ?? options.conn_port, user: user ?? options.conn_username };
  const assumed = (["port", "user"] as const).filter((key) => given[key] === undefined);
  return {
    host,
    port: given.port ?? DEFAULT_PORT,
    user: given.user ?? DEFAULT_USER,
    ...(assumed.length > 0 ? { assumed } : {}),
  };
}

/** Everything a transport needs to reach the account that the options name. */
export function sshOptions(options: ReachOptions, context: ReachContext): SshOptions {
  const environment = context.environment ?? Deno.env.toObject();
  const ownFile = (path: string | undefined) => path?.replace(/^~(?=\/)/, environment.HOME ?? "~");
  const optional = <T>(key: string, value: T | undefined) => value === undefined ? {} : { [key]: value };
  return {
    target: targetOf(options),
    login: {
      method: options.conn_method,
      ...optional("password", options.conn_password?.reveal()),
      ...optional("identityFile", ownFile(options.conn_identity_file)),
      ...optional("identityPassphrase", options.conn_identity_passphrase?.reveal()),
      ...optional("agentSocket", ownFile(options.ssh_auth_sock) ?? environment.SSH_AUTH_SOCK),
    },
    trust: {
      hostKeyCheck: options.host_key_check,
      ...optional("fingerprint", options.host_key_fingerprint),
      ...optional("knownHosts", ownFile(options.known_hosts)),
      recordIn: `${stateDir(environment)}/known_hosts`,
    },
    connectTimeout: options.connect_timeout * 1000,
    keepalive: options.keepalive * 1000,
    say: (text) => context.say(text),
  };
}

/**
 * The same login on another node of the cluster, at its address there. A pinned host key is the first node's own, so
 * that the other's is looked up as if none were pinned.
 */
export function sshOptionsAt(address: string, { target, trust, ...rest }: SshOptions): SshOptions {
  const { fingerprint: _, ...others } = trust;
  return { ...rest, target: { ...target, host: address }, trust: others };
}
