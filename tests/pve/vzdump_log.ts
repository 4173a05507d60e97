/** vzdump's log: every line prefixed, on the task log and in the guest's log file; and its number formats. */
import type { Job } from "./worker.ts";

const two = (value: number) => String(value).padStart(2, "0");

/** Local time of the node as `2025-01-31 12:00:00`. */
export function timestamp(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Local time of the node as archive names have it. */
export function nameStamp(date: Date): string {
  return timestamp(date).replaceAll("-", "_").replace(" ", "-").replaceAll(":", "_");
}

/** `00:01:25`; hours may exceed 99. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** `1m 25s`, as in progress lines. */
export function shortDuration(seconds: number): string {
  const parts = [[86400, "d"], [3600, "h"], [60, "m"]] as const;
  let rest = Math.floor(seconds);
  let text = "";
  for (const [size, unit] of parts) {
    if (rest >= size || text !== "") text += `${Math.floor(rest / size)}${unit} `;
    rest %= size;
  }
  return `${text}${rest}s`;
}

/** `1.2 GiB`. */
export function binarySize(bytes: number, digits = 1): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `int KB`, `int MB`, `%.2fGB`, `%.2fTB`: the archive's size as the log states it. */
export function archiveSize(bytes: number): string {
  const kib = bytes / 1024;
  if (kib < 1024) return `${Math.floor(kib)}KB`;
  if (kib < 1024 ** 2) return `${Math.floor(kib / 1024)}MB`;
  if (kib < 1024 ** 3) return `${(kib / 1024 ** 2).toFixed(2)}GB`;
  return `${(kib / 1024 ** 3).toFixed(2)}TB`;
}

export type LogLevel = "INFO" | "ERROR" | "WARN";

/** Log of a job; `file` is the current guest's log file. */
export class BackupLog {
  file: string | undefined;
  constructor(readonly job: Job) {}

  /** A line for the task log and the guest's file. */
  write(level: LogLevel, text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      if (this.file !== undefined) {
        const entry = `${timestamp(new Date())} ${level}: ${line}\n`;
        Deno.writeTextFileSync(this.file, entry, { append: true });
      }
      this.job.print(`${level}: ${line}`);
    }
  }

  info(text: string): void {
    this.write("INFO", text);
  }

  error(text: string): void {
    this.write("ERROR", text);
  }

  warn(text: string): void {
    this.write("WARN", text);
    this.job.warnings++;
  }

  /** A line for the task log only. */
  task(text: string): void {
    this.job.print(`INFO: ${text}`);
  }
}
