/** What both services get from outside. */
export interface PluginContext {
  /** Name and version of this program. */
  program: string;
  now: () => Date;
  /** Writes one line for the user, whose terminal shows plakar's progress: only what must be said. */
  say: (line: string) => void;
}
