/** Puts the machine back as it was, whatever happens to the tests. */

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

// A command is a line; the last one comes first. The end of stdin is the call to act, or the death of the tests.
const SCRIPT = `trap '' HUP INT TERM
end_tree() {
  for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do end_tree "$child"; done
  kill -KILL "$1"
}
end_server() { [ ! -s "$1" ] || end_tree "$(cat "$1")"; }
end_marked() {
  for file in $(grep --files-with-matches --null-data --line-regexp --fixed-strings "$1" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}
    kill -KILL "\${pid%/environ}"
  done
  :
}
undo= status=0
while IFS= read -r line; do
  undo="$line
$undo"
done
eval "$undo"
exit "$status"
`;

/**
 * Commands that undo what a test did to the machine. A small `sh` keeps them and runs them, the last one first,
 * when it is told to or when this process is no more, SIGKILL included.
 *
 * Besides programs it knows `end_tree PID`, `end_server PIDFILE` (a server and all below it; nothing when there is
 * no such file) and `end_marked NAME=VALUE` (every process that was started with it in its environment).
 */
export class Undo {
  readonly #child = new Deno.Command("/bin/sh", {
    args: ["-c", SCRIPT, "undo"],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    detached: true, // a Ctrl-C is not for it
  }).spawn();
  readonly #stdin = this.#child.stdin.getWriter();
  readonly #commands: string[] = [];

  /** To be called before what it undoes is done: a command that finds nothing to undo does no harm. */
  async add(...argv: string[]): Promise<void> {
    const line = argv.map(quote).join(" ");
    if (line.includes("\n")) throw new Error(`an undo command is one line, not ${line}`);
    this.#commands.push(line);
    await this.#stdin.write(new TextEncoder().encode(`${line} 2>/dev/null || status=1\n`));
  }

  /** Runs the commands and waits for their end; rejects when one failed. */
  async run(): Promise<void> {
    await this.#stdin.close();
    const { code } = await this.#child.status;
    if (code !== 0) throw new Error(`not all could be undone:\n${this.#commands.toReversed().join("\n")}`);
  }
}
