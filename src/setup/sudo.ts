import { messageOf, UserError } from "../core/errors.ts";
import { CommandError, type Runner } from "../runner/runner.ts";

/** A command that changes nothing, run the way all commands are. */
const HARMLESS = ["sudo", "-n", "/bin/sh", "-c", ":"] as const;

/**
 * Whether commands on a node must go through sudo. `plain` reaches it as the account that logged in.
 *
 * @throws {UserError} of kind `unreachable`, with what to set up, where the account may not use sudo
 */
export async function needsSudo(plain: Runner, mode: "auto" | "always" | "never"): Promise<boolean> {
  if (mode === "never") return false;
  if (mode === "auto" && await ask(plain, "-u") === "0") return false;
  try {
    await plain.run(HARMLESS);
    return true;
  } catch (error) {
    if (!(error instanceof CommandError) || error.reason === "connection") throw error;
    throw await explain(plain, error);
  }
}

async function explain(plain: Runner, error: CommandError): Promise<UserError> {
  const what = `Cannot become root on "${plain.label}"`;
  if (error.reason === "not-found") {
    return new UserError("unreachable", `${what}: sudo is not installed there`, {
      hint: "install it, or log in as root",
      cause: error,
    });
  }
  const said = error.end.logTail.trim().split("\n").at(-1) || messageOf(error);
  const name = await ask(plain, "-un");
  return new UserError("unreachable", `${what} with sudo: ${said}`, {
    hint: `add this line there with visudo, which gives the account all rights of root: ` +
      `${name} ALL=(root) NOPASSWD: /bin/sh`,
    cause: error,
  });
}

async function ask(plain: Runner, what: "-u" | "-un"): Promise<string> {
  return (await plain.run(["id", what])).stdout.trim();
}
