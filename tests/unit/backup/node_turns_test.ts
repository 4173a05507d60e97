import assert from "node:assert/strict";
import type { Guest } from "../../../src/core/guest.ts";
import { nodesInTurn, NodeTurns } from "../../../src/backup/node_turns.ts";

const tick = () => new Promise((resolve) => setTimeout(resolve));

/** Work that waits until it is let go, and what has begun so far. */
function makeWork() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const work = (name: string) => () => {
    begun.push(name);
    return new Promise<void>((end) => ends.set(name, end));
  };
  const end = async (name: string) => {
    ends.get(name)?.();
    await tick();
  };
  return { begun, work, end };
}

Deno.test("NodeTurns.take() does one thing at a time on a node, in the order of the calls", async () => {
  const turns = new NodeTurns(4);
  const { begun, work, end } = makeWork();
  const all = ["a", "b", "c"].map((name) => turns.take("pve1", work(name)));
  await tick();
  assert.deepEqual(begun, ["a"]);
  await end("a");
  assert.deepEqual(begun, ["a", "b"]);
  await end("b");
  await end("c");
  await Promise.all(all);
});

Deno.test("NodeTurns.take() lets a free node overtake those that wait for a busy one", async () => {
  const turns = new NodeTurns(2);
  const { begun, work, end } = makeWork();
  const all = [["pve1", "a"], ["pve1", "b"], ["pve2", "c"], ["pve3", "d"]] as const;
  const taken = all.map(([node, name]) => turns.take(node, work(name)));
  await tick();
  assert.deepEqual(begun, ["a", "c"], "two nodes at once");
  await end("c");
  assert.deepEqual(begun, ["a", "c", "d"], "pve1 is busy still");
  await end("a");
  assert.deepEqual(begun, ["a", "c", "d", "b"]);
  await end("b");
  await end("d");
  await Promise.all(taken);
});

Deno.test("NodeTurns.take() goes on after work that fails", async () => {
  const turns = new NodeTurns(1);
  const failing = turns.take("pve1", () => Promise.reject(new Error("no")));
  const next = turns.take("pve1", () => Promise.resolve("done"));
  await assert.rejects(failing, /^Error: no$/);
  assert.equal(await next, "done");
});

Deno.test("nodesInTurn() puts guests of different nodes next to each other", () => {
  const guest = (vmid: number, node: string): Guest => {
    return { vmid, node, kind: "qemu", status: "running", template: false, tags: [] };
  };
  const guests = [guest(101, "a"), guest(102, "a"), guest(103, "a"), guest(104, "b"), guest(105, "b")];
  assert.deepEqual(nodesInTurn(guests).map(({ vmid }) => vmid), [101, 104, 102, 105, 103]);
});
