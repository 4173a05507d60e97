/**
 * A program that reaches a node by the system's ssh: `openssh_child.ts OPTIONS COMMAND…`, options as JSON. It prints
 * what the command says on stdout, or `CLASS: sentence` of the error; with `HOLD=1` in its environment it stays then.
 */
import { messageOf } from "../../src/core/errors.ts";
import { OpensshChannels } from "../../src/runner/openssh.ts";
import { ShellRunner } from "../../src/runner/remote/shell_runner.ts";
import type { Argv } from "../../src/runner/runner.ts";

const [options = "", ...command] = Deno.args;
const channels = new OpensshChannels({ ...JSON.parse(options), say: () => {} });
const print = (text: string) => Deno.stdout.write(new TextEncoder().encode(text));
try {
  const { stdout } = await new ShellRunner(channels).run(command as unknown as Argv);
  await print(stdout);
  if (Deno.env.get("HOLD")) await new Promise((resolve) => setTimeout(resolve, 600_000));
} catch (error) {
  await print(`${(error as Error).name}: ${messageOf(error)}`);
} finally {
  await channels.close();
}
