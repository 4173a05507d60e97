/** What a child is started with, besides its command. */
export interface SpawnOptions {
  /** Variables over our own environment. */
  env?: Readonly<Record<string, string>>;
  stdin: "piped" | "null";
  stdout: "piped" | "null";
  stderr: "piped" | "null";
}

/**
 * Starts a process in a session of its own: Ctrl-C on the terminal is for us to act on.
 *
 * @throws what the system says when the program cannot be started
 */
export function spawn(
  [program, ...args]: readonly [string, ...string[]],
  options: SpawnOptions,
): Deno.ChildProcess {
  return new Deno.Command(program, { args, detached: true, ...options }).spawn();
}
