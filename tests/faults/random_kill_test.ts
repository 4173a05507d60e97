import assert from "node:assert/strict";
import { needs } from "../needs.ts";
import { randomKill } from "./random_kill.ts";

/** More of them: `scripts/deno run -A scripts/random_kills.ts`. */
const SEEDS = [1, 2, 3, 4, 5, 6];

for (const seed of SEEDS) {
  Deno.test({
    name:
      `a run that is ended at a random moment leaves nothing that "cleanup" does not remove (seed ${seed})`,
    ...needs("flock"),
    async fn() {
      const run = await randomKill(seed);
      assert.deepEqual(run.problems, [], JSON.stringify(run));
    },
  });
}
