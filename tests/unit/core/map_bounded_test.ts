import assert from "node:assert/strict";
import { mapBounded } from "../../../src/core/map_bounded.ts";

Deno.test("mapBounded() answers in the items' order, with no more at work than allowed", async () => {
  let busy = 0;
  let most = 0;
  const results = await mapBounded([5, 1, 4, 2, 3], 2, async (item) => {
    most = Math.max(most, ++busy);
    await new Promise((resolve) => setTimeout(resolve, item));
    busy--;
    return item * 10;
  });
  assert.deepEqual(results, [50, 10, 40, 20, 30]);
  assert.equal(most, 2);
  assert.deepEqual(await mapBounded([], 2, () => Promise.reject(new Error("called"))), []);
});

Deno.test("mapBounded() rejects with the first failure", async () => {
  const work = (item: number) => item === 2 ? Promise.reject(new Error("no")) : Promise.resolve(item);
  await assert.rejects(mapBounded([1, 2, 3], 2, work), /^Error: no$/);
});
