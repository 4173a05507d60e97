/** How the simulated tools are started: fast, without network, lock file or caches in TMPDIR. */

export const DENO_FLAGS = [
  "run",
  "-A",
  "--quiet",
  "--no-check",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--cached-only",
];

export const TOOLS = ["vzdump", "qmrestore", "qm", "pct", "pvesh"] as const;

const MAIN = new URL("./main.ts", import.meta.url).pathname;

/** Arguments of Deno for one call of the simulated node's program. */
export function denoArguments(words: readonly string[]): string[] {
  return [...DENO_FLAGS, MAIN, ...words];
}

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

/** The shell wrapper of one tool on one node. */
export function wrapperScript(tool: string, dir: string, node: string): string {
  const cache = Deno.env.get("DENO_DIR");
  const words = [Deno.execPath(), ...denoArguments([tool, dir, node])];
  return [
    "#!/bin/sh",
    cache === undefined ? "" : `export DENO_DIR=${quote(cache)}`,
    // A different home would mean a cold cache for each call.
    cache === undefined && Deno.env.has("HOME") ? `HOME=${quote(Deno.env.get("HOME")!)}; export HOME` : "",
    "export DENO_NO_UPDATE_CHECK=1",
    `exec ${words.map(quote).join(" ")} "$@"`,
    "",
  ].filter((line, index) => line !== "" || index > 3).join("\n");
}
