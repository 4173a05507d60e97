/**
 * How a program gets to a node whose login shell may be any: the command line is always the same, made of what sh,
 * bash, zsh, csh, tcsh and fish read alike, and short, since csh refuses words of more than 1 KiB. The program
 * itself, in POSIX sh, is the first line of stdin, in base64; the rest of stdin is the program's own.
 * `read` takes its line byte by byte, so that it never takes more.
 */
const RUN_FIRST_LINE = `/bin/sh -c 'read -r program && eval "$(printf %s "$program" | base64 -d)"'`;

/** The command line that runs the program on its stdin; `sudo`: as root, without asking for a password. */
export function commandLine(sudo: boolean): string {
  return `exec ${sudo ? "sudo -n -- " : ""}${RUN_FIRST_LINE}`;
}

/** `program` as the first line of stdin. */
export function programLine(program: string): Uint8Array<ArrayBuffer> {
  if (program.includes("\0")) throw new TypeError("Cannot hand over a program with a NUL character");
  return new TextEncoder().encode(`${new TextEncoder().encode(program).toBase64()}\n`);
}
