import assert from "node:assert/strict";
import { CommandError } from "../../../src/runner/runner.ts";
import { findTool, searchPath } from "../../../src/runner/tool_path.ts";

Deno.test("searchPath() appends the system directories that are missing", () => {
  assert.equal(searchPath("/usr/bin:/bin"), "/usr/bin:/bin:/usr/sbin:/sbin");
  assert.equal(searchPath("/sbin:/opt"), "/sbin:/opt:/usr/sbin");
  assert.equal(searchPath(":/a::"), "/a:/usr/sbin:/sbin");
  assert.match(searchPath(undefined), /\/usr\/bin:\/bin:\/usr\/sbin:\/sbin$/);
});

Deno.test("findTool() takes the first executable file of that name", async () => {
  const dir = await Deno.makeTempDir();
  try {
    for (const sub of ["a", "b", "c"]) await Deno.mkdir(`${dir}/${sub}`);
    await Deno.mkdir(`${dir}/a/tool`);
    await Deno.writeTextFile(`${dir}/b/tool`, "", { mode: 0o644 });
    const path = [`${dir}/none`, `${dir}/a`, `${dir}/b`, `${dir}/c`].join(":");
    await assert.rejects(findTool(["tool"], path), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.reason, "not-executable");
      assert.equal(error.message, `Cannot run "tool": "${dir}/b/tool" is not executable`);
      return true;
    });
    await Deno.writeTextFile(`${dir}/c/tool`, "", { mode: 0o755 });
    assert.equal(await findTool(["tool"], path), `${dir}/c/tool`);
    assert.equal(await findTool([`${dir}/c/tool`], "/bin"), `${dir}/c/tool`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("findTool() names the place it looked at, and what to do", async () => {
  await assert.rejects(findTool(["vzdump", "101"], "/x:/y"), {
    message: 'Cannot run "vzdump": not found in PATH (/x:/y); run this on the Proxmox node',
  });
  await assert.rejects(findTool(["zstd"], "/x"), {
    message: 'Cannot run "zstd": not found in PATH (/x); install it on the node',
  });
});
