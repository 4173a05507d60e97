import { messageOf } from "../core/errors.ts";
import type { EventListener } from "../core/events.ts";
import type { Guest } from "../core/guest.ts";
import type { SnapshotSink } from "../core/sink.ts";
import { FORM_VERSION, type GuestReport, type Manifest, type Report } from "../core/snapshot.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { type DumpSettings, requireSupported } from "../proxmox/vzdump.ts";
import { openWorkDir, type WorkDir } from "../proxmox/work_dir.ts";
import { dumpGuest, type DumpResult } from "./dump_guest.ts";
import { describeRun } from "./manifest.ts";
import { explainFailed, explainLeftOut, type NotTaken, type Selected } from "./select.ts";

/** What to back up, and how. */
export interface BackupRequest {
  selected: Selected;
  settings: DumpSettings;
  method: "auto" | "stream" | "file";
  /** Directory on the node under which the run makes its own. */
  dumpDir: string;
  /** Seconds, see `CheckedSource`. */
  stallTimeout: number;
  onError: "continue" | "fail";
  /** False keeps an archive that vzdump wrote as a file: it is moved up into `dumpDir`. */
  cleanup: boolean;
  /** The options in force, for the manifest. */
  options: Record<string, unknown>;
  /** Time in the archives' names, where they must be known before the dumps begin; absent: each dump's start. */
  nameTime?: Date;
}

export interface BackupContext {
  node: ProxmoxNode;
  runId: string;
  /** Name and version of this program. */
  program: string;
  now: () => Date;
  listen: EventListener;
  /** Aborted to end the running dump and start no other. */
  stop: AbortSignal;
}

/**
 * One backup of a node: what it is about, and what has become of each guest so far. Who drives it decides when
 * each guest is dumped and where to; the node must be spared two dumps at a time.
 */
export class BackupRun implements AsyncDisposable {
  /** Guests to back up, sorted by vmid. */
  readonly guests: readonly Guest[];
  readonly #started: Date;
  readonly #done = new Map<number, GuestReport>();

  private constructor(
    private readonly request: BackupRequest,
    private readonly context: BackupContext,
    readonly manifest: Manifest,
    private readonly workDir: WorkDir | undefined,
  ) {
    this.guests = request.selected.guests;
    this.#started = new Date(manifest.started);
  }

  /**
   * Looks at the guests and makes the run's working directory on the node; dumps nothing.
   *
   * @throws {UserError} of kind `usage` when a setting or the directory cannot be used
   */
  static async open(request: BackupRequest, context: BackupContext): Promise<BackupRun> {
    const { node, runId: id, program } = context;
    requireSupported(request.settings, node.release);
    const run = { id, program, started: context.now(), options: request.options };
    const isNeeded = request.selected.guests.length > 0;
    const workDir = isNeeded ? await openWorkDir(node, request.dumpDir, id, 0o711) : undefined;
    try {
      const manifest = await describeRun(node, request.selected.guests, run);
      const opened = new BackupRun(request, context, manifest, workDir);
      for (const report of opened.#notTaken()) opened.#tell(report);
      return opened;
    } catch (error) {
      await workDir?.close();
      throw error;
    }
  }

  /** Whether a guest has failed so far, or was never to be had. */
  get hasFailures(): boolean {
    return this.request.selected.failed.length > 0 ||
      [...this.#done.values()].some((guest) => guest.outcome === "failed");
  }

  /** Dumps one guest into `sink`; never rejects: a failure is the guest's. */
  async backUp(guest: Guest, sink: Pick<SnapshotSink, "store">): Promise<GuestReport> {
    const { context: { node, listen, stop, now }, request } = this;
    const workDir = this.workDir as WorkDir;
    const dirName = String(guest.vmid);
    const index = this.guests.indexOf(guest);
    listen({ type: "guest-started", ...labelOf(guest), index, total: this.guests.length });
    const time = now();
    const result = await dumpGuest(guest, {
      node,
      sink,
      request: {
        settings: request.settings,
        method: request.method,
        workDir: await workDir.makeDir(dirName),
        hold: workDir.busy,
        ...(request.cleanup ? {} : { keepIn: request.dumpDir }),
      },
      stallTimeout: request.stallTimeout * 1000,
      time: request.nameTime ?? time,
      listen,
      stop,
    });
    await workDir.removeDir(dirName);
    const report = this.#reportOn(guest, result, (now().getTime() - time.getTime()) / 1000);
    this.#done.set(guest.vmid, report);
    this.#tell(report);
    return report;
  }

  /** What has happened so far; guests that were not dumped count as not started. */
  report(): Report {
    const { context: { runId, stop, now }, request } = this;
    const tried = this.guests.map((guest) =>
      this.#done.get(guest.vmid) ?? { ...this.#empty(guest), outcome: "not-started" as const }
    );
    const guests = [...this.#notTaken(), ...tried];
    return {
      version: FORM_VERSION,
      run: runId,
      started: this.#started.toISOString(),
      finished: now().toISOString(),
      outcome: this.#outcomeOf(guests),
      guests,
      notes: stop.aborted ? [...request.selected.notes, messageOf(stop.reason)] : [...request.selected.notes],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workDir?.close();
  }

  #outcomeOf(guests: readonly GuestReport[]): Report["outcome"] {
    const good = guests.filter((guest) => guest.outcome === "good").length;
    if (this.context.stop.aborted && good < guests.length) return "interrupted";
    if (good === 0 || (this.request.onError === "fail" && this.hasFailures)) return "failed";
    return good === guests.length ? "good" : "partial";
  }

  #reportOn(guest: Guest, result: DumpResult, seconds: number): GuestReport {
    const { archive, error, bytes, warnings, log } = result;
    return {
      ...this.#empty(guest),
      outcome: archive ? "good" : "failed",
      ...(error !== undefined ? { error } : {}),
      ...(archive ? { archive } : {}),
      bytes,
      seconds,
      warnings,
      log,
    };
  }

  #empty(guest: Guest): Omit<GuestReport, "outcome"> {
    const notHeld = this.manifest.guests.find(({ vmid }) => vmid === guest.vmid)?.notHeld ?? [];
    return { ...labelOf(guest), node: guest.node, bytes: 0, seconds: 0, warnings: [], notHeld };
  }

  #notTaken(): GuestReport[] {
    const { failed, leftOut } = this.request.selected;
    const report = (
      { vmid, guest }: NotTaken,
      outcome: "failed" | "left-out",
      error: string,
    ): GuestReport => ({
      ...(guest ? this.#empty(guest) : { vmid, bytes: 0, seconds: 0, warnings: [], notHeld: [] }),
      outcome,
      error,
    });
    return [
      ...failed.map((entry) => report(entry, "failed", explainFailed(entry))),
      ...leftOut.map((entry) => report(entry, "left-out", explainLeftOut(entry))),
    ];
  }

  #tell({ vmid, kind, name, outcome, bytes, seconds, error }: GuestReport): void {
    const label = { vmid, ...(kind ? { kind } : {}), ...(name !== undefined ? { name } : {}) };
    const good = outcome === "good";
    this.context.listen({ type: "guest-finished", ...label, good, bytes, seconds, text: error ?? "" });
  }
}

function labelOf({ vmid, kind, name }: Guest): { vmid: number; kind: Guest["kind"]; name?: string } {
  return { vmid, kind, ...(name !== undefined ? { name } : {}) };
}
