import type { OutputSinks, ShortProcess } from "./short_command.ts";

/** Milliseconds that a command's streams may stay open after its exit, held by a process that it left behind. */
export const LINGER = 2_000;

/** Milliseconds between SIGTERM and SIGKILL. */
export const TERM_TO_KILL = 5_000;

/** Hands over all that comes on `stream` until its end, or until shortly after the child's exit. */
export async function readUntilExit(
  stream: ReadableStream<Uint8Array>,
  exit: Promise<unknown>,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  const reader = stream.getReader();
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  exit.then(() => {
    if (!over) timer = setTimeout(() => void reader.cancel(), LINGER);
  });
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    take(value);
  }
  over = true;
  clearTimeout(timer);
}

/**
 * Sends signals to a detached child and the processes it started in its session's first group; does nothing
 * once the child has ended, when its pid may be somebody else's.
 */
export class ChildSignals {
  #exited = false;
  #killTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly child: Deno.ChildProcess) {
    child.status.then(() => {
      this.#exited = true;
      clearTimeout(this.#killTimer);
    });
  }

  /** SIGTERM, and SIGKILL when that does not help within 5 s. Safe to repeat. */
  terminate(): void {
    if (this.#exited || this.#killTimer !== undefined) return;
    this.#killTimer = setTimeout(() => this.kill(), TERM_TO_KILL);
    this.#send("SIGTERM");
  }

  /** SIGKILL. */
  kill(): void {
    if (!this.#exited) this.#send("SIGKILL");
  }

  #send(signal: Deno.Signal): void {
    try {
      Deno.kill(-this.child.pid, signal);
    } catch {
      // The group ended in this moment: nothing is left to stop.
    }
  }
}

/** A detached child, stdin empty, as a short command. */
export function shortChild(child: Deno.ChildProcess, sinks: OutputSinks): ShortProcess {
  const signals = new ChildSignals(child);
  return {
    ended: child.status.then(({ code }) => ({ status: code })),
    delivered: Promise.all([
      readUntilExit(child.stdout, child.status, sinks.stdout),
      readUntilExit(child.stderr, child.status, sinks.stderr),
    ]).then(() => {}),
    terminate: () => signals.terminate(),
  };
}
