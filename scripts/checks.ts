import { print } from "./print.ts";
import { deno } from "./run.ts";

/** The checks that need no test run, in the order of their cost; each is a call of this very Deno. */
const CHECKS: readonly { name: string; args: string[]; mend: string }[] = [
  { name: "format", args: ["fmt", "--check"], mend: "scripts/deno fmt" },
  {
    name: "lint, layers, sizes",
    args: ["lint", "--quiet"],
    mend: "the rules are in deno.json and scripts/layers.ts",
  },
  {
    name: "types",
    args: ["check", "--quiet", "--frozen", "main.ts", "scripts", "tests", "src"],
    mend: "a lock file out of date is renewed by scripts/deno install",
  },
  { name: "docs", args: ["run", "-A", "scripts/docs.ts", "--check"], mend: "scripts/deno task docs" },
];

/** Runs the checks up to the first that fails; says what happened and answers whether all passed. */
export async function runChecks(): Promise<boolean> {
  for (const { name, args, mend } of CHECKS) {
    if (!await check(name, args, mend)) return false;
  }
  return true;
}

/** One line when it passes; what the call said and how to mend it when it does not. */
export async function check(name: string, args: string[], mend: string): Promise<boolean> {
  const start = Date.now();
  const { code, output } = await deno(args);
  if (code !== 0) {
    print(output);
    print(`ok: ${name}: FAILED (${mend})`);
    return false;
  }
  print(`ok: ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  return true;
}
