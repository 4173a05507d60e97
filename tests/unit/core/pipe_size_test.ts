import assert from "node:assert/strict";

const MODULE = new URL("../../../src/core/pipe_size.ts", import.meta.url).href;

/** A process that writes `bytes` to stdout, which nobody reads, and says when they were taken. */
function writer(prepare: string, bytes: number): Deno.ChildProcess {
  const script = `import { enlargePipe } from ${JSON.stringify(MODULE)};
    ${prepare}
    for (let left = ${bytes}; left > 0;) left -= Deno.stdout.writeSync(new Uint8Array(Math.min(left, 65536)));
    console.error("taken");`;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", `data:application/typescript,${encodeURIComponent(script)}`],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Whether the writer gets rid of its bytes before anything is read. */
async function isTaken(child: Deno.ChildProcess, milliseconds: number): Promise<boolean> {
  const reader = child.stderr.getReader();
  const late = Promise.withResolvers<{ value: undefined }>();
  const timer = setTimeout(() => late.resolve({ value: undefined }), milliseconds);
  const { value } = await Promise.race([reader.read(), late.promise]);
  clearTimeout(timer);
  if (value === undefined) child.kill("SIGKILL");
  await Promise.all([reader.cancel(), child.stdout.cancel(), child.status]);
  return value !== undefined && new TextDecoder().decode(value).startsWith("taken");
}

Deno.test("enlargePipe() lets a pipe hold 1 MiB that nobody has read yet", async () => {
  assert.equal(await isTaken(writer("enlargePipe(1);", 1024 * 1024), 20_000), true);
});

Deno.test("enlargePipe() leaves what is no pipe alone", async () => {
  const prepare = `const file = await Deno.makeTempFile();
    using open = await Deno.open(file, { write: true });
    await Deno.remove(file);
    for (let fd = 3; fd < 40; fd++) enlargePipe(fd);
    enlargePipe(999);
    await open.write(new Uint8Array(3));`;
  assert.equal(await isTaken(writer(prepare, 100), 20_000), true);
});
