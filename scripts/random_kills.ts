/**
 * Ends many backups and restores at random moments and sums up what became of them.
 * Arguments: number of runs (default 200), first seed (default 1). A seed decides everything but the clock.
 */
import { type KilledRun, randomKill } from "../tests/faults/random_kill.ts";
import { table } from "./markdown.ts";
import { print } from "./print.ts";

function summary(runs: readonly KilledRun[]): string {
  const rows = [...Map.groupBy(runs, ({ command, end }) => `${command}, ${end}`)].sort().map(
    ([what, group]) => {
      const count = (of: (run: KilledRun) => boolean) => group.filter(of).length;
      return [
        what,
        group.length,
        count(({ status }) => status === 0),
        group.reduce((sum, { listed }) => sum + listed, 0),
        count(({ told }) => told.length > 0),
        count(({ problems }) => problems.length > 0),
      ];
    },
  );
  return table(
    ["run", "runs", "done before", "archives listed, all whole", "told of guests", "problems"],
    rows,
  );
}

async function main([count = "200", first = "1"]: readonly string[]): Promise<number> {
  const runs: KilledRun[] = [];
  for (let seed = Number(first); seed < Number(first) + Number(count); seed++) {
    const run = await randomKill(seed);
    runs.push(run);
    const words = [...run.told, ...run.problems.map((problem) => `PROBLEM: ${problem}`)];
    const when = `${run.command}, ${run.end} after ${run.after} ms`;
    print(`seed ${seed}: ${when}: status ${run.status}${words.length ? `; ${words.join("; ")}` : ""}`);
  }
  print(summary(runs));
  return runs.filter(({ problems }) => problems.length > 0).length;
}

if (import.meta.main && await main(Deno.args) > 0) Deno.exit(1);
