import type { Terminal } from "./terminal.ts";

/** What a command gets from outside. */
export interface CliContext {
  terminal: Terminal;
  environment: Readonly<Record<string, string>>;
  /** Name and version of this program, `plakar-proxmox 1.2.3`. */
  program: string;
  now: () => Date;
  /** Ends the process at once; only for a second Ctrl-C. */
  leave: (status: number) => void;
}
