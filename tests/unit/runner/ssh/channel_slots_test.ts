import assert from "node:assert/strict";
import { ChannelSlots } from "../../../../src/runner/ssh/channel_slots.ts";

/** Whether `promise` settles without anything else happening. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true);
  await new Promise((resolve) => setTimeout(resolve, 0));
  return settled;
}

Deno.test("ChannelSlots let ten channels be open at once, and the next when one is free", async () => {
  const slots = new ChannelSlots();
  for (let taken = 0; taken < 10; taken++) assert.ok(await isSettled(slots.take()));
  const waiting = slots.take();
  assert.ok(!await isSettled(waiting));
  slots.free();
  assert.ok(await isSettled(waiting));
});

Deno.test("ChannelSlots learn from a refusal how many the node takes", async () => {
  const slots = new ChannelSlots();
  // A node that takes two: four are on their way when it refuses the last two.
  for (let taken = 0; taken < 4; taken++) await slots.take();
  assert.ok(slots.refused());
  assert.ok(slots.refused());
  assert.equal(slots.limit, 2);
  const third = slots.take();
  const fourth = slots.take();
  assert.ok(!await isSettled(third));
  slots.free();
  assert.ok(await isSettled(third));
  assert.ok(!await isSettled(fourth), "never more than two");
  slots.free();
  assert.ok(await isSettled(fourth));
});

Deno.test("ChannelSlots say when a node refuses although nothing is open", async () => {
  const slots = new ChannelSlots();
  await slots.take();
  assert.equal(slots.refused(), false);
  assert.ok(await isSettled(slots.take()), "the place is free again");
});

Deno.test("ChannelSlots wake the one that waits when a node refuses everybody", async () => {
  const slots = new ChannelSlots();
  await slots.take();
  await slots.take();
  assert.equal(slots.refused(), true);
  const again = slots.take();
  assert.ok(!await isSettled(again));
  assert.equal(slots.refused(), false);
  assert.ok(await isSettled(again));
});

Deno.test("ChannelSlots tell without waiting that there is no room", async () => {
  const slots = new ChannelSlots(1);
  assert.ok(slots.takeNow());
  assert.equal(slots.takeNow(), false);
  slots.free();
  await slots.take();
  assert.equal(slots.takeNow(), false);
});
