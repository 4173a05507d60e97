import { UserError } from "../../core/errors.ts";
import type { SshTrust } from "../remote/ssh_target.ts";
import {
  fingerprint,
  type HostKey,
  isAbout,
  isSameKey,
  type KnownHost,
  knownHostsLine,
} from "./known_hosts.ts";
import type { HostNames } from "./names.ts";

/** What is known before a machine shows its key. */
export interface HostKeyQuestion {
  /** What to call the account in messages. */
  label: string;
  names: HostNames;
  trust: SshTrust;
  known: readonly KnownHost[];
}

/** What to do about the key that a machine shows. */
export type HostKeyVerdict =
  /** `isKnown`: it was pinned or recorded before this run, so secrets may go there. */
  | { isAccepted: true; isKnown: boolean; record?: string; say?: string }
  | { isAccepted: false; error: UserError };

/** Whether to believe the machine that shows `key`. */
export function judgeHostKey(question: HostKeyQuestion, key: HostKey): HostKeyVerdict {
  const { trust, names, known } = question;
  const revoked = known.find((line) =>
    line.marker === "revoked" && isSameKey(line.key, key) && isAboutAny(line, names)
  );
  if (revoked) return refused(revokedError(question, key, revoked));
  if (trust.fingerprint !== undefined) return judgePinned(question, key, trust.fingerprint);
  const lines = known.filter((line) => isAbout(line, names.recorded));
  const own = lines.filter((line) => line.marker === undefined);
  if (own.some((line) => isSameKey(line.key, key))) return { isAccepted: true, isKnown: true };
  if (own.length > 0) return unlessOff(question, key, changedError(question, key, own));
  if (isKnownWithoutPort(question, key)) return { isAccepted: true, isKnown: true };
  const authority = lines.find((line) => line.marker === "cert-authority");
  if (authority) return unlessOff(question, key, authorityError(question, key, authority));
  return judgeUnknown(question, key);
}

function judgePinned({ label }: HostKeyQuestion, key: HostKey, pinned: string): HostKeyVerdict {
  const shown = fingerprint(key);
  if (shown === pinned) return { isAccepted: true, isKnown: true };
  return refused(
    unreachable(
      `Cannot trust "${label}": host_key_fingerprint asks for "${pinned}", its ${key.type} key is "${shown}"`,
      `compare both with what ssh-keygen -lf /etc/ssh/${keyFileName(key)} says on the node itself`,
    ),
  );
}

function judgeUnknown(question: HostKeyQuestion, key: HostKey): HostKeyVerdict {
  const { label, names, trust } = question;
  if (trust.hostKeyCheck === "accept-new") {
    return {
      isAccepted: true,
      isKnown: false,
      record: knownHostsLine(names.recorded, key),
      say: `Recorded the new ${key.type} host key of "${label}" in "${trust.recordIn}": ${fingerprint(key)}`,
    };
  }
  const message = `Cannot trust "${label}": its ${key.type} host key "${fingerprint(key)}" is not known`;
  const line = knownHostsLine(names.recorded, key);
  const hint = `when it is the right one, add the line "${line}" to "${trust.knownHosts ?? trust.recordIn}"`;
  return unlessOff(question, key, unreachable(message, hint));
}

/** OpenSSH takes a key recorded for the bare host where nothing is recorded with the port (sshconnect.c). */
function isKnownWithoutPort({ names, known }: HostKeyQuestion, key: HostKey): boolean {
  const bare = names.withoutPort;
  return bare !== undefined &&
    known.some((line) => line.marker === undefined && isSameKey(line.key, key) && isAbout(line, bare));
}

function isAboutAny(line: KnownHost, { recorded, withoutPort }: HostNames): boolean {
  return isAbout(line, recorded) || (withoutPort !== undefined && isAbout(line, withoutPort));
}

function unlessOff({ label, trust }: HostKeyQuestion, key: HostKey, error: UserError): HostKeyVerdict {
  if (trust.hostKeyCheck !== "off") return refused(error);
  const say = `Did not check who "${label}" is, since host_key_check is "off": its ${key.type} key is ${
    fingerprint(key)
  }`;
  return { isAccepted: true, isKnown: false, say };
}

function changedError({ label, names }: HostKeyQuestion, key: HostKey, own: readonly KnownHost[]): UserError {
  // A line with the same type of key says best what changed.
  const was = own.find((line) => line.key.type === key.type) ?? own[0]!;
  return unreachable(
    `Cannot trust "${label}": its host key has changed from "${fingerprint(was.key)}" (${was.key.type}, ` +
      `"${was.file}" line ${was.line}) to "${fingerprint(key)}" (${key.type})`,
    `somebody may be in between; only when the node was reinstalled: ` +
      `ssh-keygen -R "${names.recorded}" -f "${was.file}"`,
  );
}

function revokedError({ label }: HostKeyQuestion, key: HostKey, { file, line }: KnownHost): UserError {
  return unreachable(
    `Cannot trust "${label}": its ${key.type} host key "${
      fingerprint(key)
    }" is revoked in "${file}" line ${line}`,
    "give the node a new host key",
  );
}

function authorityError({ label }: HostKeyQuestion, key: HostKey, { file, line }: KnownHost): UserError {
  return unreachable(
    `Cannot trust "${label}": "${file}" line ${line} trusts a certificate authority, and host certificates are ` +
      `not supported by ssh_transport "builtin"`,
    `use ssh_transport=openssh, or pin the ${key.type} key by host_key_fingerprint=${fingerprint(key)}`,
  );
}

function refused(error: UserError): HostKeyVerdict {
  return { isAccepted: false, error };
}

function unreachable(message: string, hint: string): UserError {
  return new UserError("unreachable", message, { hint });
}

/** File of a host key where sshd keeps it by default. */
function keyFileName({ type }: HostKey): string {
  const kind = type.startsWith("ecdsa-") ? "ecdsa" : type.replace(/^ssh-/, "");
  return `ssh_host_${kind}_key.pub`;
}

/** Host key algorithms from the most liked: OpenSSH's order without certificates, hardware keys and SHA-1. */
const HOST_KEY_ALGORITHMS = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/**
 * Algorithms to ask a machine for, those of recorded keys first: another one of its keys would look like a change
 * (sshconnect2.c, `order_hostkeyalgs`).
 */
export function hostKeyAlgorithms({ names, known, trust }: Omit<HostKeyQuestion, "label">): string[] {
  const lines = known.filter((line) => line.marker === undefined && isAboutAny(line, names));
  const pinned = lines.filter((line) => fingerprint(line.key) === trust.fingerprint);
  const exact = lines.filter((line) => isAbout(line, names.recorded));
  const best = [pinned, exact, lines].find((some) => some.length > 0) ?? [];
  const types = new Set(best.map((line) => line.key.type));
  const isRecorded = (name: string) => types.has(name.startsWith("rsa-sha2-") ? "ssh-rsa" : name);
  return [
    ...HOST_KEY_ALGORITHMS.filter(isRecorded),
    ...HOST_KEY_ALGORITHMS.filter((name) => !isRecorded(name)),
  ];
}
