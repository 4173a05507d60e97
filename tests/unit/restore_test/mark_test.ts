import assert from "node:assert/strict";
import { markValues, runOf, workDirOf } from "../../../src/restore_test/mark.ts";

const MARK = { run: "0123456789abcdef0123456789abcdef", workDir: "" };
MARK.workDir = `/var/lib/vz/my dump/plakar-proxmox-${MARK.run}-200`;

Deno.test("runOf() knows a guest by the mark that was set", () => {
  for (const kind of ["qemu", "lxc"] as const) {
    const values = markValues(MARK, kind, 101);
    assert.equal(runOf(values), MARK.run);
    assert.equal(workDirOf(values), MARK.workDir);
  }
});

Deno.test("runOf() takes no guest for a test's that only looks a little like it", () => {
  const { name = "", tags = "" } = markValues(MARK, "qemu", 101);
  for (
    const config of [
      {},
      { name },
      { tags },
      { name: "web", tags },
      { name, tags: `${tags}0` },
      { name, tags: `x${tags}` },
      { name, tags: "restore-test-0123" },
    ]
  ) assert.equal(runOf(config), undefined, JSON.stringify(config));
  assert.equal(runOf({ name, tags: `prod;${tags};web` }), MARK.run);
});

Deno.test("workDirOf() reads the description as qm prints it", () => {
  const { description = "" } = markValues(MARK, "qemu", 101);
  assert.equal(workDirOf({ description: encodeURIComponent(`${description}\n`) }), MARK.workDir);
  assert.equal(workDirOf({ description: `${description}%0A` }), MARK.workDir);
  assert.equal(workDirOf({ description: "somebody's own notes, 100%" }), undefined);
});
