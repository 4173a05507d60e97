import assert from "node:assert/strict";
import { storageMap } from "../../../src/config/kinds.ts";

const { schema, json } = storageMap();

Deno.test("storageMap() reads one storage, storages by disk, and both", () => {
  const cases = [
    ["fast", { others: "fast", disks: {} }],
    ["scsi0=fast,rootfs=big", { disks: { scsi0: "fast", rootfs: "big" } }],
    ["fast,scsi1=slow", { others: "fast", disks: { scsi1: "slow" } }],
    ["efidisk0=local-lvm, fast , tpmstate0=a.b_c1", {
      others: "fast",
      disks: { efidisk0: "local-lvm", tpmstate0: "a.b_c1" },
    }],
  ] as const;
  for (const [text, map] of cases) {
    assert.deepEqual(schema.parse(text), map);
    assert.match(text, new RegExp(json.pattern as string), "the JSON schema refuses it");
  }
});

Deno.test("storageMap() refuses what is no storage or no disk, and says which part", () => {
  const cases = {
    "scsi0=": /"scsi0=" is neither$/,
    "=fast": /"=fast" is neither$/,
    "fast,": /"" is neither$/,
    "fast,scsi0=a/b": /"scsi0=a\/b" is neither$/,
    "scsi0=fast=big": /"scsi0=fast=big" is neither$/,
    "scsi=fast": /"scsi=fast" is neither$/,
    "unused0=fast": /"unused0=fast" is neither$/,
    "net0=fast": /"net0=fast" is neither$/,
    "__proto__=fast": /"__proto__=fast" is neither$/,
    "fast,big": /^must give all other disks one storage$/,
    "scsi0=fast,scsi0=fast": /^must give scsi0 one storage$/,
    "scsi0=fast\n": /^must not hold control characters$/,
    "": /^must not be empty$/,
  };
  for (const [text, must] of Object.entries(cases)) {
    const { error } = schema.safeParse(text);
    assert.match(error?.issues[0]?.message ?? "taken", must, JSON.stringify(text));
  }
});
