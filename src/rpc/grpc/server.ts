import { messageOf } from "../../core/errors.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { ServerStream } from "../http2/stream.ts";
import { endStream, ServerCall } from "./call.ts";
import type { Method } from "./methods.ts";
import { fieldOf, refuseNonGrpc } from "./request.ts";
import { GrpcError, Status } from "./status.ts";
import { type CallSignal, callSignal, parseTimeout, unlessAborted } from "./timeout.ts";

/** Methods by full service name (`package.Service`), then by their own name. */
export type Services = Readonly<Record<string, Readonly<Record<string, Method>>>>;

export interface GrpcOptions {
  /** Most bytes of one request message; default: 4 MiB. */
  maxMessageBytes?: number;
}

/**
 * Answers each stream of an HTTP/2 connection as a gRPC call of one of `services`.
 *
 * A method that throws a {@linkcode GrpcError} ends its call with that status, one that throws anything else with
 * UNKNOWN and the error's message on one line. The answer never rejects, and settles when the call has ended *and*
 * the method has returned: what a method cleans up after a cancel can be waited for.
 */
export function createGrpcHandler(
  services: Services,
  options: GrpcOptions = {},
): (stream: ServerStream) => Promise<void> {
  const methods = new Map(
    Object.entries(services).flatMap(([service, byName]) =>
      Object.entries(byName).map(([name, method]) => [`/${service}/${name}`, method])
    ),
  );
  return async (stream) => {
    try {
      const refusal = refuseNonGrpc(stream.headers);
      if (refusal) await endStream(stream, stream.respond(refusal));
      else await answer(stream, methods, options);
    } catch {
      stream.reset(ErrorCode.INTERNAL_ERROR); // no effect if the stream's own end was the failure
    }
  };
}

async function answer(
  stream: ServerStream,
  methods: ReadonlyMap<string, Method>,
  options: GrpcOptions,
): Promise<void> {
  let prepared: { method: Method; bounds: CallSignal };
  try {
    prepared = prepare(stream, methods);
  } catch (error) {
    return await new ServerCall(stream, stream.signal).finish(grpcError(error));
  }
  using bounds = prepared.bounds;
  const call = new ServerCall(stream, bounds.signal, options.maxMessageBytes);
  const running = prepared.method(call);
  try {
    const failure = await unlessAborted(running, call.signal).then(() => undefined, grpcError);
    if (!stream.signal.aborted) await call.finish(failure);
  } finally {
    await running.catch(() => {}); // told above, or nobody is left to hear it
  }
}

/** What a call needs to begin. Throws the {@linkcode GrpcError} of a call that cannot. */
function prepare(stream: ServerStream, methods: ReadonlyMap<string, Method>) {
  const path = fieldOf(stream.headers, ":path") ?? "";
  const method = methods.get(path);
  if (!method) throw new GrpcError(Status.UNIMPLEMENTED, `Unknown method "${path}"`);
  const compression = fieldOf(stream.headers, "grpc-encoding") ?? "identity";
  if (compression !== "identity") {
    throw new GrpcError(Status.UNIMPLEMENTED, `Cannot read messages with compression "${compression}"`);
  }
  const timeout = fieldOf(stream.headers, "grpc-timeout");
  return {
    method,
    bounds: callSignal(stream.signal, timeout === undefined ? undefined : parseTimeout(timeout)),
  };
}

function grpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  return new GrpcError(Status.UNKNOWN, messageOf(error), { cause: error });
}
