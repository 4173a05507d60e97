import type { HeaderField } from "../http2/stream.ts";

/** How a call ended (gRPC's statuscodes.md). */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type Status = typeof Status[keyof typeof Status];

/** An error that reaches the client with this very code and message. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  constructor(readonly code: Exclude<Status, 0>, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/**
 * Most characters of a coded message. gRPC for Java and its C core take 8 KiB of header fields at most unless told
 * otherwise, and a client that refuses the trailers would show no message at all.
 */
const MAX_CODED_MESSAGE = 6 * 1024;

/** The fields that tell the end of a call; `error` absent: it went well. */
export function statusFields(error?: GrpcError): HeaderField[] {
  const code: HeaderField = ["grpc-status", String(error?.code ?? Status.OK)];
  return error?.message ? [code, ["grpc-message", encodeMessage(error.message)]] : [code];
}

const encoder = new TextEncoder();
const ELLIPSIS = percentCode("…");

/**
 * Percent-codes the UTF-8 bytes of `message` for a header field, as gRPC over HTTP/2 says: printable ASCII but `%`
 * stays. What would be longer than `limit` characters is cut between two of the message's and ends in `…`.
 */
export function encodeMessage(message: string, limit: number = MAX_CODED_MESSAGE): string {
  // A field's value must neither begin nor end with a space (RFC 9113 section 8.2.1).
  const coded = message.replaceAll(/^ | $|[^\x20-\x24\x26-\x7e]+/g, percentCode);
  if (coded.length <= limit) return coded;
  const lastCharacter = /(%[C-F].(%[89AB].){0,3})?(%.?)?$/; // if it is not ASCII, maybe cut itself
  return coded.slice(0, limit - ELLIPSIS.length).replace(lastCharacter, "") + ELLIPSIS;
}

function percentCode(text: string): string {
  const bytes = encoder.encode(text); // half of a surrogate pair becomes U+FFFD
  return Array.from(bytes, (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
