/**
 * How bad it is. `ok`: looked at and fine. `note`: worth knowing. `warning`: some backup or restore may go another
 * way than expected. `problem`: backups or restores fail until it is dealt with.
 */
export type Severity = "ok" | "note" | "warning" | "problem";

/** What a look at one thing has shown. */
export interface Finding {
  severity: Severity;
  /** Name of the check. */
  check: string;
  /** The node it is about; absent where it is about the cluster or a store. */
  node?: string;
  /** One sentence without a final period. */
  text: string;
  /** What to do about it, a clause. */
  remedy?: string;
}

/** A finding as a check tells it: which check and node are known to who runs it. */
export type Sighting = Omit<Finding, "check" | "node">;

export const fine = (text: string): Sighting => ({ severity: "ok", text });

export const note = (text: string, remedy?: string): Sighting => sighting("note", text, remedy);

export const warning = (text: string, remedy?: string): Sighting => sighting("warning", text, remedy);

export const problem = (text: string, remedy?: string): Sighting => sighting("problem", text, remedy);

function sighting(severity: Severity, text: string, remedy: string | undefined): Sighting {
  return { severity, text, ...(remedy === undefined ? {} : { remedy }) };
}
