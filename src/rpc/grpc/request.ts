import type { HeaderField } from "../http2/stream.ts";

/** Header fields of an answer to a request that is no gRPC call at all: plain HTTP, without a body. */
type HttpRefusal = readonly HeaderField[];

/**
 * Refuses what no gRPC client sends, by an HTTP status, so that other HTTP clients do not take the 200 of a failed
 * call for a success; `undefined` for a call.
 */
export function refuseNonGrpc(headers: readonly HeaderField[]): HttpRefusal | undefined {
  if (fieldOf(headers, ":method") !== "POST") return [[":status", "405"], ["allow", "POST"]];
  const contentType = fieldOf(headers, "content-type") ?? "";
  if (!/^application\/grpc(\+proto)?\s*(;|$)/i.test(contentType)) return [[":status", "415"]];
  // A proxy that drops `te` drops the trailers too, and with them every status.
  if (fieldOf(headers, "te")?.toLowerCase() !== "trailers") return [[":status", "400"]];
  return undefined;
}

/** Value of the first field of that name. */
export function fieldOf(headers: readonly HeaderField[], name: string): string | undefined {
  return headers.find(([candidate]) => candidate === name)?.[1];
}
