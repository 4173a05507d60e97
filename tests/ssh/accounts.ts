/** Throw-away accounts of this machine: made by `useradd`, gone with the bed. */
import type { Undo } from "./undo.ts";
import { must } from "./command.ts";

export interface AccountSpec {
  /** `root`: root's uid under another name. `user`: an account without rights. */
  rights: "root" | "user";
  /** Login shell, a name or a path; default `bash`. */
  shell?: string;
  /** What the shell's own start-up file holds, run for commands over SSH too. */
  startUp?: string;
  /** Gets a password, so that one can log in by it. */
  hasPassword?: boolean;
  /**
   * What sudo lets a plain user do without a password: everything, the commands listed (a path, with arguments as in
   * sudoers(5)), or nothing. `password`: everything, but only by password. Default: nothing.
   */
  sudo?: "all" | "nothing" | "password" | string[];
}

export interface Account {
  name: string;
  home: string;
  password?: string;
}

/** File in the home directory that the shell reads for a command over SSH. */
const START_UP_FILE: Readonly<Record<string, string>> = {
  bash: ".bashrc", // bash(1): also when started by sshd with a command
  fish: ".config/fish/config.fish",
  csh: ".cshrc",
  tcsh: ".tcshrc",
  zsh: ".zshenv",
};

/** Makes an account whose home is below `dir`; `keptInSudo` are variables of its environment that sudo keeps. */
export async function makeAccount(
  name: string,
  spec: AccountSpec,
  { dir, undo, keptInSudo }: { dir: string; undo: Undo; keptInSudo: string[] },
): Promise<Account> {
  const home = `${dir}/${name}`;
  const shell = await shellPath(spec.shell ?? "bash");
  // "-p *" is no password that fits, but not the "!" of a locked account, which sshd refuses without PAM.
  const rights = spec.rights === "root" ? ["-o", "-u", "0", "-g", "0"] : ["--system"];
  await undo.add("userdel", "--force", name);
  await must("useradd", [...rights, "--no-create-home", "-d", home, "-s", shell, "-p", "*", name]);
  await writeHome(home, shell, spec.startUp ?? "");
  await must("chown", ["-R", name, home]);
  const account: Account = { name, home };
  if (spec.hasPassword) {
    account.password = crypto.randomUUID();
    await must("chpasswd", ["--crypt-method", "SHA512"], `${name}:${account.password}\n`);
  }
  if (spec.rights === "user") await writeSudoRules(name, spec.sudo ?? "nothing", dir, undo, keptInSudo);
  return account;
}

async function writeHome(home: string, shell: string, startUp: string): Promise<void> {
  const file = START_UP_FILE[shell.slice(shell.lastIndexOf("/") + 1)];
  if (startUp && file === undefined) throw new Error(`"${shell}" reads no start-up file over SSH`);
  const path = `${home}/${file ?? ".profile"}`;
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeTextFile(path, `${startUp}\n`);
}

/** A file of our own in sudoers.d; PATH and the like pass through, since each simulated node has a PATH of its own. */
async function writeSudoRules(
  name: string,
  sudo: NonNullable<AccountSpec["sudo"]>,
  dir: string,
  undo: Undo,
  kept: string[],
): Promise<void> {
  if (sudo === "nothing") return;
  const commands = Array.isArray(sudo) ? sudo.join(", ") : "ALL";
  const rules = [
    `Defaults:${name} !secure_path, env_keep += "${kept.join(" ")}"`,
    `${name} ALL=(ALL) ${sudo === "password" ? "" : "NOPASSWD: "}${commands}`,
  ];
  const draft = `${dir}/sudoers-${name}`;
  await Deno.writeTextFile(draft, `${rules.join("\n")}\n`, { mode: 0o440 });
  await must("visudo", ["-c", "-f", draft]); // a wrong file would break sudo for everybody
  const target = `/etc/sudoers.d/${name}`;
  await undo.add("rm", "-f", target);
  await must("install", ["-m", "0440", draft, target]);
}

async function shellPath(shell: string): Promise<string> {
  if (shell.startsWith("/")) return shell;
  return (await must("sh", ["-c", 'command -v "$1"', "sh", shell])).trim();
}
