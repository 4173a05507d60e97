import assert from "node:assert/strict";
import { type MakeRunner, until, withBench } from "./runner_helpers.ts";

/** Whether nobody holds the file. */
async function isFree(path: string): Promise<boolean> {
  const { code } = await new Deno.Command("flock", { args: ["--nonblock", path, "true"] }).output();
  return code === 0;
}

/** `hold` of jobs, and `guardDir`: a directory of a dead run goes when the last job in it is over, not before. */
export function holdContract(name: string, make: MakeRunner): void {
  Deno.test(`${name} a job holds its file as long as it lives, and reports its own status`, () =>
    withBench(make, async ({ runner, dir }) => {
      const hold = `${dir}/busy`;
      await Deno.writeTextFile(hold, "");
      const job = runner.finish(["sh", "-c", "sleep 1; exit 7"], { logDir: dir, hold });
      await until("the job holds the file", async () => !await isFree(hold));
      assert.equal((await job).status, 7);
      await until("the file is free", () => isFree(hold));
    }));

  Deno.test(`${name} guardDir() leaves a directory alone that is released`, () =>
    withBench(make, async ({ runner, dir }) => {
      await Deno.mkdir(`${dir}/run`);
      await Deno.writeTextFile(`${dir}/run/busy`, "");
      const guard = await runner.guardDir(`${dir}/run`);
      await guard.release();
      assert.ok((await Deno.stat(`${dir}/run/busy`)).isFile);
    }));
}
