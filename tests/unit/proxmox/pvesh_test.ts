import assert from "node:assert/strict";
import { z } from "zod";
import { pveshGet } from "../../../src/proxmox/pvesh.ts";
import { UserError } from "../../../src/core/errors.ts";
import { type Answer, exits, notInstalled, standInNode } from "./node_stand_in.ts";

const answer = z.array(z.looseObject({ name: z.string() }));

async function refusal(said: Answer): Promise<UserError> {
  const { runner } = standInNode({ run: () => said });
  const error = await pveshGet(runner, "/nodes", answer).then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof UserError, `not a UserError: ${error}`);
  return error;
}

Deno.test("pveshGet() puts the path before the options and asks for JSON", async () => {
  const { runner } = standInNode({ run: () => '[{"name":"pve1","level":"c"}]\n' });
  const nodes = await pveshGet(runner, "/nodes", answer, { type: "vm" });
  assert.equal(nodes[0]?.name, "pve1");
  assert.deepEqual(runner.calls, [["pvesh", "get", "/nodes", "--type", "vm", "--output-format", "json"]]);
});

Deno.test("pveshGet() tells an answer that is no JSON or has another form", async () => {
  for (const text of ["", "perl: warning: Setting locale failed.", "{}", '[{"name":1}]', '[{"name":"a"}']) {
    const error = await refusal(text);
    assert.equal(error.kind, "failed");
    assert.match(error.message, /^Cannot understand the answer of "pvesh get \/nodes": .+/);
    assert.ok(error.message.length < 300, "a long answer is cut");
    assert.ok(!error.message.includes("\n"));
  }
});

Deno.test("pveshGet() tells a machine without Proxmox VE", async () => {
  const error = await refusal(notInstalled("pvesh"));
  assert.equal(error.kind, "unreachable");
  assert.match(
    error.sentence,
    /^Cannot find Proxmox VE on the test node: .*; run this on a Proxmox VE node$/,
  );
});

Deno.test("pveshGet() tells missing rights from a cluster filesystem that is down", async () => {
  const asUser = await refusal(exits(
    255,
    "ipcc_send_rec[1] failed: Unknown error -1\nUnable to load access control list: Unknown error -1",
  ));
  assert.equal(asUser.kind, "unreachable");
  assert.equal(asUser.options.hint, "run this as root");
  const down = await refusal(exits(
    255,
    "ipcc_send_rec[1] failed: Connection refused\nUnable to load access control list: Connection refused",
  ));
  assert.equal(down.kind, "unreachable");
  assert.equal(down.options.hint, 'start the service "pve-cluster" first');
});

Deno.test("pveshGet() passes on what pvesh says otherwise", async () => {
  const error = await refusal(exits(1, "No 'get' handler defined for '/nodes'", ["pvesh"]));
  assert.equal(error.kind, "failed");
  assert.match(error.message, /Cannot read "\/nodes" from Proxmox VE on the test node: .*No 'get' handler/);
});

Deno.test("pveshGet() lets errors of another kind through", async () => {
  const { runner } = standInNode({ run: () => new TypeError("a mistake of ours") });
  await assert.rejects(pveshGet(runner, "/nodes", answer), TypeError);
});
