import { UserError } from "../core/errors.ts";

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** The run was ended by a signal; the exit status is 128 + its number. */
export class Interrupted extends UserError {
  constructor(readonly signalNumber: number, name: string) {
    super("interrupted", `Interrupted by ${name}`);
  }
}

/**
 * Turns the first signal into an abort, which `tell` hears of; `leave` is called at the second Ctrl-C. A SIGHUP that
 * whoever started us has us ignore, as nohup does, stays ignored.
 */
export function watchSignals(
  leave: (status: number) => void,
  tell: (text: string) => void,
): { stop: AbortSignal; close(): void } {
  const controller = new AbortController();
  // Asked before all else: Deno takes over all three signals with the first listener, and ends us at those without one.
  const ignoresHangup = isIgnored(SIGNALS.SIGHUP);
  const listeners = Object.entries(SIGNALS).map(([name, number]) => {
    const listener = () => {
      if (name === "SIGHUP" && ignoresHangup) return;
      if (controller.signal.aborted && name === "SIGINT") leave(128 + number);
      if (!controller.signal.aborted) {
        tell(`${name}: what is at work is brought to an orderly end; a second Ctrl-C leaves at once`);
      }
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

/** Whether a signal was ignored when we were started (proc(5), /proc/PID/status, SigIgn). */
function isIgnored(number: number): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) >> BigInt(number - 1) & 1n) === 1n;
}
