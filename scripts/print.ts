/** Prints one line for the person who runs a script. */
export function print(line: string): void {
  // deno-lint-ignore no-console -- a script's voice is the terminal
  console.log(line);
}
