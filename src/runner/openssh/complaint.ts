import { UserError } from "../../core/errors.ts";
import { lastWords } from "../command_error.ts";
import { NOT_PINNED } from "./settings.ts";

/** A pattern in what ssh says, and what it means. */
interface Meaning {
  pattern: RegExp;
  tell: (label: string, match: RegExpExecArray, said: string) => [message: string, hint?: string];
}

const DIFFERENT_KEY = /^The fingerprint for the (\S+) key sent by the remote host is\s+(SHA256:\S+?)\.?$/m;
const OFFENDING_LINE = /^Offending (\S+) key in (\S+):(\d+)$/m;

// In this order, the most telling first: ssh ends most of its complaints with a general one. The texts are those of
// OpenSSH's ssh.c, sshconnect.c, sshconnect2.c, packet.c and kex.c.
const MEANINGS: readonly Meaning[] = [
  {
    pattern: /REVOKED HOST KEY DETECTED|^Host key \S+ \S+ revoked/m,
    tell: (label) => [`Cannot trust "${label}": its host key is revoked`, "give the node a new host key"],
  },
  {
    pattern: new RegExp(`^${NOT_PINNED} (\\S+) (SHA256:\\S+)$`, "m"),
    tell: (label, [, type, fingerprint]) => [
      `Cannot trust "${label}": its ${type} host key "${fingerprint}" is not the one of host_key_fingerprint`,
      "compare both with what ssh-keygen -l says about the key on the node itself",
    ],
  },
  {
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    tell: (label, _, said) => {
      const [, type = "", fingerprint = ""] = DIFFERENT_KEY.exec(said) ?? [];
      const [, , file = "known_hosts", line = ""] = OFFENDING_LINE.exec(said) ?? [];
      return [
        `Cannot trust "${label}": its host key has changed to "${fingerprint}" (${type}); ` +
        `the old one stands in "${file}"${line && ` line ${line}`}`,
        "somebody may be in between; only when the node was reinstalled, remove that line",
      ];
    },
  },
  {
    pattern: /^No (\S+) host key is known for .*strict checking|^Host key verification failed/m,
    tell: (label, [, type]) => [
      `Cannot trust "${label}": its ${type ? `${type} ` : ""}host key is not known`,
      "log in once by ssh and compare the fingerprint, or use host_key_check=accept-new",
    ],
  },
  {
    pattern: /Too many authentication failures/,
    tell: (label) => [
      `Cannot log in to "${label}": too many keys were offered before the right one`,
      "pass conn_identity_file with conn_method=identity",
    ],
  },
  {
    pattern: /Permission denied \(([^)]*)\)/,
    tell: (label, [, methods]) => [
      `Cannot log in to "${label}": no key was accepted (the node takes ${methods!.split(",").join(", ")})`,
      "add the public key to the node's authorized_keys, load the key into the agent, or pass conn_identity_file",
    ],
  },
  {
    pattern: /Could not resolve hostname (\S+): .*/,
    tell: (label, [, host]) => [
      `Cannot reach "${label}": the name "${host}" is not known`,
      "check the name, or use the address",
    ],
  },
  {
    pattern: /connect to (?:host|address) .* port \d+: (.*)/,
    tell: (label, [, reason]) => [`Cannot reach "${label}": ${lowered(reason!)}`, NETWORK_HINT],
  },
  {
    pattern: /timed out during banner exchange|banner exchange: .*timed out/i,
    tell: (label) => [`Cannot reach "${label}": no SSH server answered in time`, NETWORK_HINT],
  },
  {
    pattern: /^(?:Timeout, server \S+ not responding|.*: Connection timed out)/m,
    tell: (label) => [`Lost the connection to "${label}": no sign of life any more`],
  },
  {
    pattern: /^(?:.*Bad configuration option.*|Bad owner or permissions on .*|Unable to negotiate .*)$/m,
    tell: (label, [line]) => [`Cannot use ssh to reach "${label}": ${line!.trim()}`],
  },
];

const NETWORK_HINT = "check the address, the port and the firewalls between";

/** What it means that ssh ended by itself, by what it said on stderr. */
export function complaint(label: string, said: string): UserError {
  for (const { pattern, tell } of MEANINGS) {
    const match = pattern.exec(said);
    if (match === null) continue;
    const [message, hint] = tell(label, match, said);
    return new UserError("unreachable", message, hint === undefined ? {} : { hint });
  }
  const words = lastWords(said);
  const message = `Lost the connection to "${label}"${words ? `: ${lowered(words)}` : ""}`;
  return new UserError("unreachable", message);
}

/** A sentence of ssh as a part of ours. */
function lowered(text: string): string {
  return text.trim().replace(/\.$/, "").replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}
