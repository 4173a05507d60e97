import { Argument, type Command, type Option } from "commander";
import type { CliContext } from "./context.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** Declares `completion`. */
export function declareCompletion(command: Command): void {
  command.description("print a script that completes commands and flags in a shell")
    .addArgument(new Argument("<SHELL>", "the shell to print it for").choices(SHELLS));
}

/** Runs `completion` for the commands of `program`. */
export async function runCompletion(
  [shell]: readonly string[],
  program: Command,
  { terminal }: CliContext,
): Promise<void> {
  const lines = shell === "fish"
    ? fishLines(program)
    : shell === "zsh"
    ? zshLines(program)
    : bashLines(program);
  for (const line of lines) await terminal.out(line);
}

/** A flag as shells need it. */
interface Flag {
  long: string;
  text: string;
  takesValue: boolean;
  /** The words it takes, where there is a closed list. */
  words: readonly string[];
}

function flagsOf(command: Command): Flag[] {
  const shown = command.options.filter((option) => !option.hidden && option.long);
  return [...shown.map(flagOf), { long: "--help", text: "show help", takesValue: false, words: [] }];
}

function flagOf({ long, description, required, optional, flags }: Option): Flag {
  const placeholder = /[<[](.*)[>\]]$/.exec(flags)?.[1] ?? "";
  const isList = /^[a-z0-9-]+(\|[a-z0-9-]+)+$/.test(placeholder);
  return {
    long: long as string,
    text: description,
    takesValue: required || optional,
    words: isList ? placeholder.split("|") : [],
  };
}

const wordsOf = (command: Command): readonly string[] =>
  command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);

/** Where no word fits, the shell's own completion of file names takes over. */
function bashLines(program: Command): string[] {
  const { commands } = program;
  const lines = [
    "_plakar_proxmox() {",
    "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=",
    '  if [ "$COMP_CWORD" = 1 ]; then',
    `    words="${commands.map((command) => command.name()).join(" ")} --help --version"`,
    "  else",
    '    case "$command $previous" in',
  ];
  for (const command of commands) {
    for (const { long, takesValue, words } of flagsOf(command)) {
      if (takesValue) lines.push(`      "${command.name()} ${long}") words="${words.join(" ")}" ;;`);
    }
    const own = [...wordsOf(command), ...flagsOf(command).map(({ long }) => long)].join(" ");
    lines.push(`      "${command.name()} "*) words="${own}" ;;`);
  }
  return [
    ...lines,
    "    esac",
    "  fi",
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    "}",
    "complete -o default -F _plakar_proxmox plakar-proxmox",
  ];
}

function zshLines(program: Command): string[] {
  return [
    "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }",
    "autoload -Uz bashcompinit && bashcompinit",
    ...bashLines(program),
  ];
}

function fishLines(program: Command): string[] {
  const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const start = "complete -c plakar-proxmox";
  return program.commands.flatMap((command) => {
    const name = command.name();
    const here = `${start} -n '__fish_seen_subcommand_from ${name}'`;
    const words = wordsOf(command);
    return [
      `${start} -f -n __fish_use_subcommand -a ${name} -d ${quote(command.description())}`,
      ...(words.length > 0 ? [`${here} -f -a ${quote(words.join(" "))}`] : []),
      ...flagsOf(command).map(({ long, text, takesValue, words }) => {
        const value = words.length > 0 ? ` -x -a ${quote(words.join(" "))}` : takesValue ? " -r" : "";
        return `${here} -l ${long.slice(2)}${value} -d ${quote(text)}`;
      }),
    ];
  });
}
