import { messageOf } from "../core/errors.ts";
import { type Argv, type CommandEnd, CommandError } from "./runner.ts";

/** `end.status` of a command that was still running when we gave up on it, or when the way to its node was lost. */
export const STATUS_UNKNOWN = -1;

const SIGNAL_NAMES: Readonly<Record<number, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  6: "SIGABRT",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
};

/** The program's name without its directory. */
export function toolName(argv: Argv): string {
  return argv[0].slice(argv[0].lastIndexOf("/") + 1) || argv[0];
}

/**
 * The line of a log that says best why a command failed: the last `ERROR:` line (after it Proxmox's tools
 * only sum up), else what a Proxmox parameter error is about (a usage text follows it), else the last line.
 */
export function lastWords(log: string): string {
  const lines = log.split("\n").map((line) => line.replaceAll(/\p{Cc}+/gu, " ").trim()).filter(Boolean);
  const error = lines.findLast((line) => /^(TASK )?ERROR: /.test(line));
  if (error) return error;
  const refusal = lines.findIndex((line) => /^400 /.test(line));
  if (refusal < 0) return lines.at(-1) ?? "";
  const [before, line, after] = [lines[refusal - 1], lines[refusal], lines[refusal + 1]];
  if (before?.startsWith("Unknown option")) return before;
  return /failed\.$/.test(line!) && after ? `${line} ${after}` : line!;
}

/** The command ended by itself, but not well. `why` replaces the exit status in the sentence. */
export function commandFailed(argv: Argv, end: CommandEnd, why?: string): CommandError {
  const words = lastWords(end.logTail);
  const reason = why ?? statusText(end.status);
  return commandError(argv, "status", end, `Cannot complete "${toolName(argv)}": ${reason}`, words);
}

/** We stopped the command; `lost` says why nobody knows how it ended. */
export function commandStopped(argv: Argv, end: CommandEnd, cause: unknown, lost?: Error): CommandError {
  const unknown = lost ? `; whether it ended is not known (${midSentence(lost)})` : "; it is still running";
  const still = end.status === STATUS_UNKNOWN ? unknown : "";
  const message = `Stopped "${toolName(argv)}": ${messageOf(cause)}${still}`;
  return new CommandError(message, argv, "stopped", end, { cause });
}

/** The command took longer than `timeout` milliseconds. */
export function commandTimedOut(argv: Argv, end: CommandEnd, timeout: number): CommandError {
  const message = `Cannot complete "${toolName(argv)}": no end after ${timeout / 1000} s`;
  return commandError(argv, "timeout", end, message, lastWords(end.logTail));
}

/** The way to the node was lost while the command ran there: nobody knows how it ended. */
export function commandCutOff(argv: Argv, end: CommandEnd, lost: Error): CommandError {
  const message = `Cannot complete "${toolName(argv)}": ${midSentence(lost)}`;
  return new CommandError(message, argv, "connection", end, { cause: lost });
}

/** The command's program could not be started. */
export function commandNotStarted(
  argv: Argv,
  reason: "not-found" | "not-executable" | "status",
  why: string,
  cause?: unknown,
): CommandError {
  const end = { status: reason === "not-found" ? 127 : 126, logTail: "" };
  const options = cause === undefined ? undefined : { cause };
  return new CommandError(`Cannot run "${argv[0]}": ${why}`, argv, reason, end, options);
}

/** An error's text as the end of another sentence. */
export function midSentence(error: unknown): string {
  return messageOf(error).replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
}

function commandError(
  argv: Argv,
  reason: "status" | "timeout",
  end: CommandEnd,
  message: string,
  words: string,
): CommandError {
  return new CommandError(words ? `${message}: ${words}` : message, argv, reason, end);
}

function statusText(status: number): string {
  if (status === STATUS_UNKNOWN) return "it is still running";
  const signal = SIGNAL_NAMES[status - 128];
  return `exit status ${status}${signal ? ` (${signal})` : ""}`;
}
