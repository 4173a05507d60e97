/**
 * What kind of failure it is; each kind has one exit status, see `EXIT_STATUS`.
 * `usage`: wrong options or configuration. `failed`: it was tried and did not work.
 * `partial`: some guests failed, the rest is good. `unreachable`: node, host key or login.
 * `damage`: a check found damage. `interrupted`: stopped by a signal.
 */
export type ErrorKind = "usage" | "failed" | "partial" | "unreachable" | "damage" | "interrupted";

/** Exit status by kind; a signal adds its own number to 128 (see `main.ts`). */
export const EXIT_STATUS: Readonly<Record<ErrorKind, number>> = {
  failed: 1,
  usage: 2,
  partial: 3,
  unreachable: 4,
  damage: 5,
  interrupted: 130,
};

/** What each exit status means, for help and tables. */
export const EXIT_MEANINGS: Readonly<Record<ErrorKind, string>> = {
  failed: "failed or refused, nothing usable",
  usage: "usage or configuration",
  partial: "some guests failed or were left out, or were restored but not started; the rest is good",
  unreachable: "node not reachable, host key or login refused",
  damage: "a check found damage",
  interrupted: "interrupted: 128 + signal (129, 130, 143)",
};

/** An error meant for the user's eyes: action first, values quoted, no final period. */
export class UserError extends Error {
  override readonly name = "UserError";
  constructor(
    readonly kind: ErrorKind,
    message: string,
    /** `hint`: what to do about it, a clause without a final period. */
    readonly options: { hint?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
  }

  /** The whole sentence: message, then the hint. */
  get sentence(): string {
    return this.options.hint ? `${this.message}; ${this.options.hint}` : this.message;
  }
}

/** The text of anything that was thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof UserError
    ? error.sentence
    : error instanceof Error
    ? error.message || error.name
    : String(error);
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}
