import { UserError } from "../core/errors.ts";

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** The run was ended by a signal; the exit status is 128 + its number. */
export class Interrupted extends UserError {
  constructor(readonly signalNumber: number, name: string) {
    super("interrupted", `Interrupted by ${name}`);
  }
}

/** Turns the first signal into an abort; `leave` is called at the second Ctrl-C. */
export function watchSignals(leave: (status: number) => void): { stop: AbortSignal; close(): void } {
  const controller = new AbortController();
  const listeners = Object.entries(SIGNALS).map(([name, number]) => {
    const listener = () => {
      if (controller.signal.aborted && name === "SIGINT") leave(128 + number);
      controller.abort(new Interrupted(number, name));
    };
    Deno.addSignalListener(name as Deno.Signal, listener);
    return [name as Deno.Signal, listener] as const;
  });
  return {
    stop: controller.signal,
    close: () => listeners.forEach(([name, listener]) => Deno.removeSignalListener(name, listener)),
  };
}
