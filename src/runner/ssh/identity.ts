import { Buffer } from "node:buffer";
import { createPrivateKey } from "node:crypto";
import { messageOf } from "../../core/errors.ts";
import type { KeyLibrary, LibraryKey } from "./library.ts";
import { strictPem } from "./strict_pem.ts";

/** A private key as it was found. */
export type Identity =
  | { key: LibraryKey; warning?: string }
  /** `isMissing`: no such file. `reason` fits behind "Cannot use …: ". */
  | { key?: undefined; problem: "missing" | "unreadable" | "encrypted" | "passphrase"; reason: string };

/** Reads a private key: OpenSSH, or PEM (PKCS#1, SEC1, PKCS#8), encrypted or not. */
export async function readIdentity(
  path: string,
  passphrase: string | undefined,
  library: Pick<KeyLibrary, "parseKey">,
): Promise<Identity> {
  let text: string;
  let mode: number | null;
  try {
    ({ mode } = await Deno.stat(path));
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { problem: "missing", reason: "there is no such file" };
    return { problem: "unreadable", reason: messageOf(error) };
  }
  const identity = parseIdentity(text, passphrase, library);
  if (!identity.key || mode === null || (mode & 0o077) === 0) return identity;
  return {
    ...identity,
    warning: `The private key "${path}" is open to others (mode ${
      (mode & 0o777).toString(8)
    }): run chmod 600 on it`,
  };
}

function parseIdentity(
  text: string,
  passphrase: string | undefined,
  library: Pick<KeyLibrary, "parseKey">,
): Identity {
  const armoured = text.replaceAll("\r\n", "\n").trim();
  const isLocked = isEncrypted(armoured);
  if (isLocked && passphrase === undefined) {
    return { problem: "encrypted", reason: "it is encrypted and no passphrase was given" };
  }
  const key = parseAny(armoured, isLocked ? passphrase : undefined, library);
  const usable = key && withStrictPem(key, library);
  if (usable) return { key: usable };
  return isLocked && !key
    ? { problem: "passphrase", reason: "the passphrase does not fit" }
    : { problem: "unreadable", reason: `it is no private key of a supported type (${SUPPORTED})` };
}

/** The key, or `undefined` when it cannot be read. */
function parseAny(
  text: string,
  passphrase: string | undefined,
  { parseKey }: Pick<KeyLibrary, "parseKey">,
): LibraryKey | undefined {
  try {
    // ssh2 does not read PKCS#8.
    const isPkcs8 = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.test(text);
    return privateKey(parseKey(isPkcs8 ? withoutPkcs8(text, passphrase) : text, passphrase));
  } catch {
    return undefined;
  }
}

/** The key in a form that can sign, or `undefined` when there is none. */
function withStrictPem(key: LibraryKey, { parseKey }: Pick<KeyLibrary, "parseKey">): LibraryKey | undefined {
  const pem = key.getPrivatePEM();
  try {
    const strict = strictPem(pem);
    return strict === pem ? key : privateKey(parseKey(strict));
  } catch {
    return undefined; // such as P-521, which node:crypto of this runtime lacks
  }
}

function privateKey(parsed: LibraryKey | LibraryKey[] | Error): LibraryKey | undefined {
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  return key === undefined || key instanceof Error || !key.isPrivateKey() ? undefined : key;
}

/** The same key, plain and in the older form of its type. */
function withoutPkcs8(text: string, passphrase: string | undefined): string {
  const key = createPrivateKey({ key: text, format: "pem", ...(passphrase !== undefined && { passphrase }) });
  const type = key.asymmetricKeyType === "rsa" ? "pkcs1" : "sec1";
  return key.export({ type, format: "pem" }).toString().trim();
}

/** Keys that this program can sign with. */
const SUPPORTED = "OpenSSH or PEM; ed25519, rsa, ecdsa with 256 or 384 bits";

/** Magic of an OpenSSH private key (PROTOCOL.key); a string with the cipher's name follows. */
const OPENSSH_MAGIC = "openssh-key-v1\0";

function isEncrypted(text: string): boolean {
  const openssh = /^-----BEGIN OPENSSH PRIVATE KEY-----\n([A-Za-z0-9+/=\s]+)/.exec(text);
  if (!openssh) return /^(-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(text);
  const bytes = Buffer.from(openssh[1]!, "base64");
  const start = OPENSSH_MAGIC.length + 4;
  if (bytes.length < start) return false;
  const length = bytes.readUInt32BE(OPENSSH_MAGIC.length);
  return bytes.toString("latin1", start, start + length) !== "none";
}
