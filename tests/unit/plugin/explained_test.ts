import assert from "node:assert/strict";
import { UserError } from "../../../src/core/errors.ts";
import { explained, inPlakarsWords } from "../../../src/plugin/explained.ts";
import { GrpcError, Status } from "../../../src/rpc/grpc/status.ts";

const SENTENCES: [string, string][] = [
  [
    "pass --force to replace it, or --newid next for another",
    "pass if_exists=replace to replace it, or newid=next for another",
  ],
  [
    "pass --if-exists replace to replace it all the same",
    "pass if_exists=replace to replace it all the same",
  ],
  ["--unique true gives new ones", "unique=true gives new ones"],
  ["give another with --storage: a, b", "give another with storage: a, b"],
  ["pass --destroy-excluded to lose that", "pass destroy_excluded=true to lose that"],
  ["give exactly one of --vmid, --pool", "give exactly one of vmid, pool"],
  ["give another --dump-dir", "give another dump_dir"],
  ["pass --node all for the whole cluster", "pass node=all for the whole cluster"],
  ["first: qm set 101 --protection 0", "first: qm set 101 --protection 0"],
];

Deno.test("inPlakarsWords() writes our flags as options, and leaves those of Proxmox's tools alone", () => {
  for (const [flags, options] of SENTENCES) assert.equal(inPlakarsWords(flags), options);
});

Deno.test("explained() turns mistakes of the user into INVALID_ARGUMENT, and all else into UNKNOWN, with the hint", async () => {
  const statusOf = async (error: unknown) => {
    const thrown = await explained(() => Promise.reject(error)).catch((caught) => caught);
    assert.ok(thrown instanceof GrpcError);
    return [thrown.code, thrown.message];
  };
  const usage = new UserError("usage", "Cannot do it", { hint: "pass --newid next" });
  assert.deepEqual(await statusOf(usage), [Status.INVALID_ARGUMENT, "Cannot do it; pass newid=next"]);
  assert.deepEqual(await statusOf(new UserError("failed", "It broke")), [Status.UNKNOWN, "It broke"]);
  assert.deepEqual(await statusOf(new Error("odd\n  thing")), [Status.UNKNOWN, "odd thing"]);
  assert.deepEqual(await statusOf(new GrpcError(Status.NOT_FOUND, "no")), [Status.NOT_FOUND, "no"]);
});
