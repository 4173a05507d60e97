import { messageOf, UserError } from "../core/errors.ts";
import { GrpcError, Status } from "../rpc/grpc/status.ts";

/** Runs a call; what it throws for people becomes a status whose message is the whole sentence. */
export async function explained<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof GrpcError) throw error;
    const code = error instanceof UserError && error.kind === "usage"
      ? Status.INVALID_ARGUMENT
      : Status.UNKNOWN;
    throw new GrpcError(code, messageOf(error), { cause: error });
  }
}
