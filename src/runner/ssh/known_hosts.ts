import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  /** `revoked`: a key never to take. `cert-authority`: a key that signs host certificates, not a host's own. */
  marker?: "revoked" | "cert-authority";
  /** Comma list of patterns, or one hashed name. */
  patterns: string;
  key: HostKey;
  file: string;
  /** From 1. */
  line: number;
}

/** A host's public key. */
export interface HostKey {
  /** `ssh-ed25519`. */
  type: string;
  blob: Buffer;
}

/** `SHA256:…` as `ssh-keygen -l` shows it. */
export function fingerprint({ blob }: HostKey): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Whether two keys are the same. */
export function isSameKey(a: HostKey, b: HostKey): boolean {
  return a.blob.equals(b.blob);
}

/** The key in its wire form (RFC 4253, section 6.6), or `undefined` when it does not begin with its type. */
export function hostKey(blob: Buffer): HostKey | undefined {
  if (blob.length < 4) return undefined;
  const length = blob.readUInt32BE(0);
  if (length === 0 || length > 64 || blob.length <= 4 + length) return undefined;
  return { type: blob.toString("latin1", 4, 4 + length), blob };
}

/** The lines of a known_hosts file that tell something; broken ones are passed over, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  return text.split("\n").flatMap((line, index) => {
    const known = parseLine(line.trim());
    return known ? [{ ...known, file, line: index + 1 }] : [];
  });
}

function parseLine(line: string): Omit<KnownHost, "file" | "line"> | undefined {
  if (line === "" || line.startsWith("#")) return undefined;
  const words = line.split(/[ \t]+/);
  const marker = line.startsWith("@") ? words.shift()!.slice(1) : undefined;
  if (marker !== undefined && marker !== "revoked" && marker !== "cert-authority") return undefined;
  const [patterns, type, base64] = words;
  if (patterns === undefined || base64 === undefined || !/^[A-Za-z0-9+/]+=*$/.test(base64)) return undefined;
  const key = hostKey(Buffer.from(base64, "base64"));
  if (key?.type !== type) return undefined;
  return { ...(marker && { marker }), patterns, key: key! };
}

/** Whether a line is about `name`, which is in lower case: a host, `[host]:port` or an alias. */
export function isAbout({ patterns }: Pick<KnownHost, "patterns">, name: string): boolean {
  if (patterns.startsWith("|")) return isHashOf(patterns, name);
  let isMatch = false;
  for (const pattern of patterns.toLowerCase().split(",")) {
    const isNegated = pattern.startsWith("!");
    if (!matchesPattern(isNegated ? pattern.slice(1) : pattern, name)) continue;
    // One negated match rules the line out, whatever else matches (ssh_config(5), PATTERNS).
    if (isNegated) return false;
    isMatch = true;
  }
  return isMatch;
}

/** `|1|salt|hash`: HMAC-SHA1 of the name, keyed with the salt. */
function isHashOf(hashed: string, name: string): boolean {
  const [, version, salt, hash, more] = hashed.split("|");
  if (version !== "1" || !salt || !hash || more !== undefined) return false;
  const key = Buffer.from(salt, "base64");
  return createHmac("sha1", key).update(name).digest().equals(Buffer.from(hash, "base64"));
}

function matchesPattern(pattern: string, name: string): boolean {
  const expression = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${expression}$`, "s").test(name);
}

/** The line that records `key` for `name`, without its line end. */
export function knownHostsLine(name: string, { type, blob }: HostKey): string {
  return `${name} ${type} ${blob.toString("base64")}`;
}
