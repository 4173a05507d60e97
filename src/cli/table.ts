import Table from "cli-table3";
import type { NotHeld } from "../core/snapshot.ts";
import { printable } from "./terminal.ts";

/** Lines of a table without borders, columns two blanks apart. */
export function tableLines(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const none = "";
  const borders = [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
  ];
  const inner = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const table = new Table({
    head: [...head],
    chars: { ...Object.fromEntries([...borders, ...inner].map((name) => [name, none])), middle: "  " },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  // A cell that began a new line could pass for a row of its own.
  table.push(...rows.map((row) => row.map(printable)));
  return table.toString().split("\n").map((line) => line.trimEnd());
}

/** `scsi1, disk "fast:vm-101-disk-1", 9 MiB (backup=0 is set)`. */
export function notHeldText({ key, what, reason }: NotHeld): string {
  const name = what.includes(`"${key}"`) ? "" : `${key}, `;
  return `${name}${what} (${reason})`;
}

/** `3 min`, `5 h`, `12 d`: how long ago, in its largest unit; `in 5 h` where a clock is or was wrong. */
export function ageText(milliseconds: number): string {
  if (milliseconds <= -60_000) return `in ${ageText(-milliseconds)}`;
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} d`;
}

/** `0:42`, `1:05:09`. */
export function clockText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (part: number) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
