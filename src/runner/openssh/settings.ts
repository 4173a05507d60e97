import { UserError } from "../../core/errors.ts";
import type { SshLogin, SshOptions, SshTrust } from "../remote/ssh_target.ts";

/** Signs of life that may stay unanswered. */
const MISSED_KEEPALIVES = 3;

/** Environment of every `ssh`: nobody is asked anything, not by a jump host's login either. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  SSH_ASKPASS_REQUIRE: "never",
  LC_ALL: "C", // messages of the system are read by us
};

/**
 * The settings that hold for every `ssh` to this account, `KEYWORD=VALUE` as in ssh_config(5), before whatever the
 * user's own configuration says. `theirKnownHosts` are the files that it names.
 */
export function settingsOf(options: SshOptions, theirKnownHosts: readonly string[]): string[] {
  const seconds = (milliseconds: number) => Math.max(1, Math.ceil(milliseconds / 1000));
  const { target, login, trust } = options;
  return [
    "BatchMode=yes",
    "RequestTTY=no",
    "EscapeChar=none",
    "RemoteCommand=none",
    "ClearAllForwardings=yes", // a port that is taken already is no reason to fail
    `ConnectTimeout=${seconds(options.connectTimeout)}`,
    `ServerAliveInterval=${seconds(options.keepalive)}`,
    `ServerAliveCountMax=${MISSED_KEEPALIVES}`,
    ...target.hostKeyAlias === undefined ? [] : [`HostKeyAlias=${target.hostKeyAlias}`],
    ...loginSettings(login),
    ...trustSettings(trust, theirKnownHosts),
  ];
}

/** Settings as arguments of ssh. */
export function settingArgs(settings: readonly string[]): string[] {
  return settings.flatMap((setting) => ["-o", setting]);
}

/** Arguments that name the account; what nobody asked for is left to the user's configuration. */
export function accountArgs({ target }: SshOptions): string[] {
  const isAsked = (key: "port" | "user") => !target.assumed?.includes(key);
  return [
    ...isAsked("port") ? ["-p", String(target.port)] : [],
    ...isAsked("user") ? ["-l", target.user] : [],
    "--",
    target.host,
  ];
}

/** @throws {UserError} of kind `usage` for what the system's ssh cannot be given */
export function refuseSecrets({ login }: SshOptions): void {
  const refusal = (what: string, hint: string) =>
    new UserError("usage", `Cannot use ${what} with ssh_transport "openssh", which asks nobody`, { hint });
  if (login.password !== undefined || login.method === "password") {
    throw refusal("a password", "log in by key, or use ssh_transport=builtin");
  }
  if (login.identityPassphrase !== undefined) {
    throw refusal(
      "conn_identity_passphrase",
      "load the key into the agent by ssh-add, or use ssh_transport=builtin",
    );
  }
}

function loginSettings({ method, identityFile, agentSocket }: SshLogin): string[] {
  const agent = agentSocket === undefined ? [] : [`IdentityAgent=${fileValue(agentSocket)}`];
  const file = identityFile === undefined ? [] : [`IdentityFile=${fileValue(identityFile)}`];
  switch (method) {
    // The agent still serves the keys that are named: a hardware key, or one that is encrypted.
    case "identity":
      return [...file, "IdentitiesOnly=yes", ...agent];
    case "agent":
      return ["IdentityFile=none", "IdentitiesOnly=no", ...agent];
    default:
      return [...file, ...agent];
  }
}

function trustSettings(trust: SshTrust, theirs: readonly string[]): string[] {
  if (trust.fingerprint !== undefined) return pinned(trust.fingerprint);
  if (trust.hostKeyCheck === "off") return ["StrictHostKeyChecking=no", ...NO_FILES];
  // The first file is where ssh records.
  const files = [trust.recordIn, ...trust.knownHosts === undefined ? theirs : [trust.knownHosts]];
  return [
    `StrictHostKeyChecking=${trust.hostKeyCheck === "strict" ? "yes" : "accept-new"}`,
    `UserKnownHostsFile=${files.map(fileValue).join(" ")}`,
  ];
}

const NO_FILES = ["UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"];

/** How the check of a pinned key begins its complaint, on a line of its own. */
export const NOT_PINNED = "not the pinned host key:";

// ssh asks this command which keys a host may have (OpenSSH 8.5, ssh_config(5), KnownHostsCommand) and hands it the
// key that the host shows: it is the host's if its fingerprint is the pinned one. It is asked earlier too, for the
// order of algorithms, with no key at hand.
const PIN_CHECK =
  `[ $1 = ORDER ] || if [ $2 = $3 ]; then echo $4 $5 $6; else echo ${NOT_PINNED} $5 $2 >&2; fi`;

function pinned(fingerprint: string): string[] {
  const words = `/bin/sh -c "${PIN_CHECK.replaceAll('"', '\\"')}" sh %I %f ${fingerprint} %H %t %K`;
  return ["StrictHostKeyChecking=yes", ...NO_FILES, `KnownHostsCommand=${words}`];
}

/** A path as a value: quoted for ssh's parser, and without the tokens that it would expand. */
export function fileValue(path: string): string {
  return `"${path.replaceAll(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}
