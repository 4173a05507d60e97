import { Buffer } from "node:buffer";

/** Bytes of a private number, by the OID of its curve (RFC 5480, section 2.1.1.1; hexadecimal DER). */
const CURVES: Readonly<Record<string, number>> = {
  "06082a8648ce3d030107": 32, // P-256
  "06052b81040022": 48, // P-384
  "06052b81040023": 66, // P-521
};

/**
 * The private key as strict readers want it. ssh2 leaves the padding of the cipher behind a decrypted key, and writes
 * the number of an ECDSA key as it stands in OpenSSH's format, with a zero byte before or without those it begins
 * with, where RFC 5915, section 3, asks for a fixed width. OpenSSL takes both, node:crypto of this runtime neither.
 */
export function strictPem(pem: string): string {
  const match = /^-----BEGIN (RSA|EC) PRIVATE KEY-----\n([A-Za-z0-9+/=\s]+)/.exec(pem);
  if (!match) return pem;
  const [, kind, base64] = match;
  const key = contentOf(Buffer.from(base64!, "base64"));
  const der = kind === "EC" ? fixedWidth(key) : element(0x30, key);
  const lines = der.toString("base64").match(/.{1,64}/g)!.join("\n");
  return `-----BEGIN ${kind} PRIVATE KEY-----\n${lines}\n-----END ${kind} PRIVATE KEY-----`;
}

/** SEQUENCE content of an EC key: INTEGER 1, OCTET STRING number, `[0]` OID, `[1]` public key. */
function fixedWidth(key: Buffer): Buffer {
  const version = key.subarray(0, 3);
  const number = contentOf(key.subarray(3));
  const rest = key.subarray(3 + headerLength(key.subarray(3)) + number.length);
  const width = CURVES[contentOf(rest).toString("hex")];
  if (width === undefined) throw new Error("the curve of the key is not known");
  const digits = number.subarray(Math.max(0, number.length - width));
  const padded = Buffer.concat([Buffer.alloc(width - digits.length), digits]);
  return element(0x30, Buffer.concat([version, element(0x04, padded), rest]));
}

/** Bytes of tag and length before the content of a DER element (X.690, section 8.1.3). */
function headerLength(der: Buffer): number {
  const first = der.readUInt8(1);
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function contentOf(der: Buffer): Buffer {
  const start = headerLength(der);
  const length = start === 2 ? der.readUInt8(1) : der.readUIntBE(2, start - 2);
  return der.subarray(start, start + length);
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80
    ? [length]
    : length < 0x100
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
