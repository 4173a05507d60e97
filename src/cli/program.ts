import { Command, CommanderError } from "commander";
import { didYouMean, flagName, listed, SIDE_NAMES } from "../config/doors.ts";
import { OPTIONS } from "../config/options.ts";
import { type ErrorKind, EXIT_MEANINGS, EXIT_STATUS, messageOf, UserError } from "../core/errors.ts";
import { declareBackup, runBackup } from "./backup.ts";
import { declareCleanup, runCleanup } from "./cleanup.ts";
import { declareCompletion, runCompletion } from "./completion.ts";
import type { CliContext } from "./context.ts";
import { declareDoctor, runDoctor } from "./doctor.ts";
import { once } from "./flags.ts";
import { declareGuests, runGuests } from "./guests.ts";
import { declareInspect, runInspect } from "./inspect.ts";
import { Interrupted } from "./interrupt.ts";
import { declareList, runList } from "./list.ts";
import { declareRestore, runRestore } from "./restore.ts";
import { declareRestoreTest, runRestoreTest } from "./restore_test.ts";
import { declareVerify, runVerify } from "./verify.ts";

interface CliCommand {
  declare: (command: Command) => void;
  // deno-lint-ignore no-explicit-any -- each command knows its own flags
  run: (flags: any, context: CliContext, words: readonly string[]) => Promise<void>;
}

const COMMANDS: Readonly<Record<string, CliCommand>> = {
  backup: { declare: declareBackup, run: runBackup },
  restore: { declare: declareRestore, run: runRestore },
  "restore-test": { declare: declareRestoreTest, run: runRestoreTest },
  list: { declare: declareList, run: runList },
  verify: { declare: declareVerify, run: runVerify },
  guests: { declare: declareGuests, run: runGuests },
  inspect: { declare: declareInspect, run: runInspect },
  doctor: { declare: declareDoctor, run: runDoctor },
  cleanup: { declare: declareCleanup, run: runCleanup },
  completion: {
    declare: declareCompletion,
    run: (_, context, words) => runCompletion(words, makeProgram(context), context),
  },
  version: {
    declare: (command) => void command.description("show the version"),
    run: (flags, context) =>
      context.terminal.out(flags.json ? JSON.stringify({ version: context.program }) : context.program),
  },
};

/** Runs one call of the command line and answers its exit status; says on stderr why it is not 0. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  try {
    const [first, ...others] = args;
    if (first === "help") return await runCli([...others.slice(0, 1), "--help"], context);
    if (first === undefined || !(first.startsWith("-") || Object.hasOwn(COMMANDS, first))) {
      throw noCommand(first);
    }
    await makeProgram(context).parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return ended(error, args, context);
    const text = error instanceof UserError ? error.sentence : `Failed unexpectedly: ${messageOf(error)}`;
    for (const line of text.split("\n")) context.terminal.say(line);
    if (error instanceof Interrupted) return 128 + error.signalNumber;
    return EXIT_STATUS[error instanceof UserError ? error.kind : "failed"];
  }
}

function makeProgram(context: CliContext): Command {
  const program = new Command("plakar-proxmox")
    .description("Backs up and restores the virtual machines and containers of Proxmox VE.")
    .exitOverride()
    .configureHelp({ optionDescription: (option) => option.description })
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .helpCommand(false)
    .addHelpText("after", exitStatuses());
  for (const [name, { declare, run }] of Object.entries(COMMANDS)) {
    const command = program.command(name).exitOverride().allowExcessArguments(false);
    declare(command);
    command.option("--json", "write results as JSON, one object a line")
      .option(
        "--config <FILE>",
        "read options from this TOML file; flags and environment win over it",
        once("--config"),
      )
      .addHelpText("after", exitStatuses())
      .action(() => run(command.opts(), context, command.args));
  }
  return program;
}

function noCommand(word: string | undefined): UserError {
  if (word === undefined) {
    return new UserError("usage", "Cannot tell what to do: no command is given", {
      hint: 'see "plakar-proxmox --help"',
    });
  }
  const near = didYouMean(word, Object.keys(COMMANDS));
  return new UserError("usage", `Unknown command "${word}"`, {
    hint: near === undefined ? 'see "plakar-proxmox --help"' : `did you mean "${near}"?`,
  });
}

function exitStatuses(): string {
  const lines = (Object.keys(EXIT_STATUS) as ErrorKind[])
    .filter((kind) => kind !== "interrupted")
    .map((kind) => `  ${EXIT_STATUS[kind]}  ${EXIT_MEANINGS[kind]}`);
  return ["", "Exit status:", "  0  all done", ...lines, `  ${EXIT_MEANINGS.interrupted}`].join("\n");
}

/** What commander ended with: help is fine, all else is a mistake in the call. */
function ended(error: CommanderError, args: readonly string[], { terminal }: CliContext): number {
  if (error.exitCode === 0) return 0;
  const text = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ").replace(/\.$/, "")
    .replace(/^unknown option '(.*)' \(Did you mean (.*)\?\)$/, "unknown option $1; did you mean $2?");
  terminal.say(foreignOption(error, args) ?? `${text.charAt(0).toUpperCase()}${text.slice(1)}`);
  return EXIT_STATUS.usage;
}

/** An option that exists, but not for this command, is better told than "unknown". */
function foreignOption(error: CommanderError, args: readonly string[]): string | undefined {
  if (error.code !== "commander.unknownOption") return undefined;
  const flag = /'(--[^']+)'/.exec(error.message)?.[1];
  const owners = Object.entries(OPTIONS).filter(([, table]) =>
    Object.keys(table).some((key) => flagName(key) === flag)
  );
  const sides = owners.map(([side]) => SIDE_NAMES[side] ?? side);
  if (sides.length > 0) return `Cannot use ${flag} with "${args[0]}": it belongs to ${listed(sides)}`;
  const known = Object.values(OPTIONS).flatMap((table) => Object.keys(table).map(flagName));
  const near = error.message.includes("Did you mean") ? undefined : didYouMean(flag ?? "", known);
  return near === undefined ? undefined : `Unknown option ${flag}; did you mean ${near}?`;
}
