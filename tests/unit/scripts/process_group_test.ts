import assert from "node:assert/strict";
import { runGroup } from "../../../scripts/process_group.ts";

/** Whether the process is gone, or dead and waiting to be reaped by whoever inherited it, within some seconds. */
async function isDead(pid: string): Promise<boolean> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline;) {
    const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "gone");
    if (/^gone$|\) [ZX] /.test(state)) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

/** Runs `script` in a group; it writes the id of its child to the file `$1`. */
async function runScript(script: string, seconds: number) {
  const folder = await Deno.makeTempDir();
  try {
    const ended = await runGroup(["sh", "-c", script, "sh", `${folder}/pid`], {
      until: Date.now() + seconds * 1000,
      cwd: folder,
      output: "null",
    });
    return { ended, child: (await Deno.readTextFile(`${folder}/pid`)).trim() };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runGroup() ends a command and its children when the time is up", async () => {
  const { ended, child } = await runScript('sleep 600 & echo $! > "$1"; wait', 2);
  assert.equal(ended.stopped, "time");
  assert.ok(await isDead(child));
});

Deno.test("runGroup() leaves no child of a command that ended by itself", async () => {
  const { ended, child } = await runScript('sleep 600 & echo $! > "$1"; exit 7', 60);
  assert.deepEqual(ended, { code: 7 });
  assert.ok(await isDead(child));
});
