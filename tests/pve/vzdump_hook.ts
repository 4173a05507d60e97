/** The administrator's hook script (`--script`, or `script:` in vzdump.conf). */
import { configEntries } from "./config.ts";
import { appendRecord, type GuestState } from "./state.ts";
import type { BackupLog } from "./vzdump_log.ts";
import type { BackupOptions } from "./vzdump_options.ts";
import type { Job } from "./worker.ts";

/** A job, or a guest's run within it. */
interface HookSubject {
  job: Job;
  log: BackupLog;
  options: BackupOptions;
  guest?: GuestState;
  archive?: string;
}

/** Runs the hook for a phase; its output becomes log lines, a failure is the guest's (or the job's). */
export async function runHook(subject: HookSubject, phase: string): Promise<void> {
  const { job, log, options, guest } = subject;
  if (options.script === undefined) return;
  const env: Record<string, string> = {
    STOREID: options.storage ?? "",
    DUMPDIR: options.storage === undefined ? options.dumpdir : "",
  };
  const target = options.stdout ? "-" : subject.archive ?? "";
  if (guest) {
    const entries = configEntries(guest.config);
    env.VMTYPE = guest.kind;
    env.HOSTNAME = entries.get("name") ?? entries.get("hostname") ?? "";
    env.TARGET = target;
    env.TARFILE = target;
    env.LOGFILE = log.file ?? "";
  }
  const args = [phase, ...(guest ? [options.mode, String(guest.vmid)] : [])];
  const child = job.spawn([options.script, ...args], { stdout: "piped", stderr: "piped", env });
  const { code, stdout, stderr } = await job.wait(outputOf(child));
  appendRecord(job.dir, "hooks.jsonl", {
    phase,
    ...(guest ? { mode: options.mode, vmid: guest.vmid, target } : {}),
    status: code,
  });
  const text = (stdout + stderr).trimEnd();
  if (text !== "") log.info(text);
  if (code !== 0) throw new Error(`command '${options.script} ${args.join(" ")}' failed: exit code ${code}`);
}

async function outputOf(child: Deno.ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
