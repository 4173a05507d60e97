import type { ValueKind } from "./kinds.ts";

/** One option: everything that validation, help, tables and schemas say about it comes from here. */
export interface OptionSpec<T = unknown> {
  kind: ValueKind<T>;
  /** What it does, a clause without a final period; units are named. */
  text: string;
  /** Text form of the default; without one the option is unset unless given. */
  default?: string;
}
