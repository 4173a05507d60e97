import type { HeaderField } from "./stream.ts";

/** Pseudo-header fields of a request (RFC 9113 section 8.3.1). */
const PSEUDO_FIELDS = new Set([":method", ":scheme", ":authority", ":path"]);

/** Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** A token in lower case: what RFC 9110 section 5.1 and RFC 9113 section 8.2.1 leave of a name. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** A value with a character that ends it elsewhere, or with space around it (RFC 9113 section 8.2.1). */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** What is wrong with a request's fields (RFC 9113 section 8.1.1), or nothing. */
export function requestFault(fields: readonly HeaderField[]): string | undefined {
  const pseudo = new Map<string, string>();
  for (const [name, value] of fields) {
    if (!name.startsWith(":")) continue;
    if (!PSEUDO_FIELDS.has(name)) return `unknown pseudo-header field "${name}"`;
    if (pseudo.has(name)) return `repeated pseudo-header field "${name}"`;
    pseudo.set(name, value);
  }
  if (fields.slice(0, pseudo.size).some(([name]) => !name.startsWith(":"))) {
    return "pseudo-header field behind a regular one";
  }
  return regularFault(fields.slice(pseudo.size)) ?? valueFault([...pseudo]) ?? targetFault(pseudo) ??
    hostFault(fields, pseudo.get(":authority")) ?? lengthFault(fields);
}

/** What is wrong with the fields of a request that ends with them, or nothing. */
export function bodilessFault(fields: readonly HeaderField[]): string | undefined {
  return requestFault(fields) ??
    ((announcedLength(fields) ?? 0) > 0 ? "no body in spite of its length" : undefined);
}

/** What is wrong with a request's trailers, or nothing. */
export function trailersFault(fields: readonly HeaderField[]): string | undefined {
  if (fields.some(([name]) => name.startsWith(":"))) return "pseudo-header field in trailers";
  return regularFault(fields);
}

/** The length that a request announces for its body; `NaN` if it contradicts itself, nothing if it is silent. */
export function announcedLength(fields: readonly HeaderField[]): number | undefined {
  const [first, ...more] = fields.filter(([name]) => name === "content-length").map(([, value]) => value);
  if (first === undefined) return undefined;
  return /^[0-9]{1,15}$/.test(first) && more.every((value) => value === first) ? Number(first) : NaN;
}

function lengthFault(fields: readonly HeaderField[]): string | undefined {
  return Number.isNaN(announcedLength(fields)) ? 'contradictory "content-length"' : undefined;
}

function regularFault(fields: readonly HeaderField[]): string | undefined {
  for (const [name, value] of fields) {
    if (!NAME.test(name)) return `invalid field name ${JSON.stringify(name)}`;
    if (CONNECTION_FIELDS.has(name)) return `connection-specific field "${name}"`;
    if (name === "te" && value !== "trailers") return 'field "te" with another value than "trailers"';
  }
  return valueFault(fields);
}

function valueFault(fields: readonly HeaderField[]): string | undefined {
  const bad = fields.find(([, value]) => BAD_VALUE.test(value));
  return bad && `invalid value of field "${bad[0]}"`;
}

function targetFault(pseudo: ReadonlyMap<string, string>): string | undefined {
  const method = pseudo.get(":method");
  if (!method) return 'no ":method"';
  if (method === "CONNECT") {
    // RFC 9113 section 8.5.
    const fits = pseudo.get(":authority") && !pseudo.has(":scheme") && !pseudo.has(":path");
    return fits ? undefined : "CONNECT with other pseudo-header fields than its own";
  }
  if (!pseudo.get(":scheme")) return 'no ":scheme"';
  const path = pseudo.get(":path");
  return path?.startsWith("/") || (path === "*" && method === "OPTIONS") ? undefined : 'no valid ":path"';
}

function hostFault(fields: readonly HeaderField[], authority: string | undefined): string | undefined {
  const host = fields.find(([name]) => name === "host")?.[1];
  const differs = authority !== undefined && host !== undefined &&
    host.toLowerCase() !== authority.toLowerCase();
  return differs ? 'field "host" that is not ":authority"' : undefined;
}
