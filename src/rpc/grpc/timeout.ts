import { GrpcError, Status } from "./status.ts";

const UNIT_MILLISECONDS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** What a timer can wait for; a longer one would fire at once. */
const MAX_TIMER_MILLISECONDS = 2 ** 31 - 1;

/** The value of `grpc-timeout` in milliseconds. Throws INTERNAL when it is none. */
export function parseTimeout(value: string): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  const factor = UNIT_MILLISECONDS[unit ?? ""];
  if (digits === undefined || factor === undefined) {
    const shown = value.length > 40 ? `${value.slice(0, 40)}…` : value;
    throw new GrpcError(Status.INTERNAL, `Cannot read grpc-timeout "${shown}": not 1 to 8 digits and a unit`);
  }
  return Number(digits) * factor;
}

/** A signal with an end of its own: `dispose` stops its timer and its listening. */
export interface CallSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * A signal that is aborted when `parent` is, or after `timeout` milliseconds (a time of more than 24 days is none).
 * Its reason is a {@linkcode GrpcError}: CANCELLED with the parent's reason as cause, or DEADLINE_EXCEEDED.
 */
export function callSignal(parent: AbortSignal, timeout?: number): CallSignal {
  const controller = new AbortController();
  const cancel = () => {
    const cause = parent.reason;
    controller.abort(new GrpcError(Status.CANCELLED, "The call was cancelled", { cause }));
  };
  if (parent.aborted) cancel();
  else parent.addEventListener("abort", cancel, { once: true });
  const expire = () =>
    controller.abort(new GrpcError(Status.DEADLINE_EXCEEDED, `The call took longer than ${timeout} ms`));
  const timer = timeout === undefined || timeout > MAX_TIMER_MILLISECONDS
    ? undefined
    : setTimeout(expire, timeout);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent.removeEventListener("abort", cancel);
    },
  };
}

/** What `promise` gives, or a rejection with the signal's reason as soon as that is aborted. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
