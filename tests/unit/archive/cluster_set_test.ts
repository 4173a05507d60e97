import assert from "node:assert/strict";
import { ClusterSet } from "../../../src/archive/cluster_set.ts";
import { seededRandom } from "./helpers.ts";

Deno.test("ClusterSet takes each cluster once, in any order", () => {
  const total = 100_000;
  const set = new ClusterSet(total);
  const order = Array.from({ length: total }, (_, cluster) => cluster);
  const random = seededRandom(3);
  for (let index = total - 1; index > 0; index--) {
    const other = random(index + 1);
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  for (const cluster of order) assert.equal(set.add(cluster), true);
  for (const cluster of order.slice(0, 1000)) assert.equal(set.add(cluster), false);
  assert.equal(set.missing, 0);
  assert.equal(set.firstMissing(), undefined);
});

Deno.test("ClusterSet names the first missing cluster, wherever it is", () => {
  for (const missing of [0, 1, 7, 8, 63, 32767, 32768, 65535, 65536, 69_999]) {
    const set = new ClusterSet(70_000);
    for (let cluster = 0; cluster < 70_000; cluster++) if (cluster !== missing) set.add(cluster);
    assert.equal(set.missing, 1);
    assert.equal(set.firstMissing(), missing);
  }
});

Deno.test("ClusterSet holds little of a disk that is written in order, and little of a huge empty one", () => {
  const set = new ClusterSet(2 ** 32);
  let most = 0;
  for (let cluster = 0; cluster < 1_000_000; cluster++) {
    set.add(cluster);
    most = Math.max(most, set.heldBytes);
  }
  set.add(2 ** 32 - 1);
  assert.ok(most <= 4096);
  assert.ok(set.heldBytes <= 8192);
});
