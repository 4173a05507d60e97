import { COMPRESSION_OF } from "../backup/dump_guest.ts";
import { BackupRun } from "../backup/backup_run.ts";
import { nodesInTurn } from "../backup/node_turns.ts";
import type { ImporterOptions } from "../config/options.ts";
import { UserError } from "../core/errors.ts";
import type { Guest } from "../core/guest.ts";
import type { SnapshotSink } from "../core/sink.ts";
import type { Report } from "../core/snapshot.ts";
import type { Nodes } from "../proxmox/nodes.ts";
import { backupRequest, selectOn } from "../setup/backup_setup.ts";
import { selectionOf } from "../setup/selection.ts";
import { openNodes } from "../setup/reach.ts";
import { newRunId } from "../setup/run_id.ts";
import type { PluginContext } from "./context.ts";
import { inPlakarsWords } from "./explained.ts";
import { directoriesOf, type Layout, makeLayout } from "./layout.ts";
import { directoryRecord, failedRecord, fileRecord, type RecordInit } from "./records.ts";

/**
 * One run of the importer: lists the guests as files, and dumps each when its file is opened, never before.
 * plakar opens several at once; each waits for its node's turn in the run.
 */
export class ImportSession implements AsyncDisposable {
  readonly #guests = new Map<string, Guest>();
  readonly #texts = new Map<string, string>();
  /** Every dump that was asked for. */
  readonly #dumps: Promise<unknown>[] = [];

  private constructor(
    private readonly options: ImporterOptions,
    private readonly nodes: Nodes,
    private readonly run: BackupRun,
    private readonly layout: Layout,
    private readonly time: Date,
  ) {}

  /** Selects the guests and looks at them. */
  static async open(
    options: ImporterOptions,
    context: PluginContext,
    stop: AbortSignal,
  ): Promise<ImportSession> {
    const nodes = await openNodes(options, context);
    try {
      const selected = await selectOn(nodes.entry, selectionOf(options));
      const time = context.now();
      const run = await BackupRun.open({ ...backupRequest(options, selected), nameTime: time }, {
        nodes,
        runId: newRunId(),
        program: context.program,
        now: context.now,
        listen: () => {},
        stop,
      });
      const compression = COMPRESSION_OF[options.backup_compression];
      return new ImportSession(options, nodes, run, makeLayout(options.layout, { time, compression }), time);
    } catch (error) {
      await nodes.close();
      throw error;
    }
  }

  /** The records of the snapshot but for the report: directories first, without which plakar counts no failures. */
  *records(): Generator<RecordInit> {
    const { layout, run, time } = this;
    // plakar takes a few files at a time: they should not all wait for the same node.
    for (const guest of nodesInTurn(run.guests)) this.#guests.set(layout.archive(guest), guest);
    if (this.options.sidecars) {
      this.#texts.set(layout.manifest, jsonText(run.manifest));
      for (const guest of run.guests) this.#addSidecars(guest);
    }
    const paths = [...this.#texts.keys(), ...this.#guests.keys()];
    for (const path of directoriesOf(paths)) yield directoryRecord(path, time);
    for (const { vmid, outcome, error } of run.report().guests) {
      if (outcome === "failed" || outcome === "left-out") {
        yield failedRecord(`/guest-${vmid}`, inPlakarsWords(error ?? ""));
      }
    }
    for (const [path, text] of this.#texts) yield fileRecord(path, byteLength(text), time);
    for (const path of this.#guests.keys()) yield fileRecord(path, 0, time);
  }

  #addSidecars(guest: Guest): void {
    const config = this.run.manifest.guests.find(({ vmid }) => vmid === guest.vmid)?.config;
    for (const [path, text] of Object.entries(this.layout.sidecars(guest, config))) {
      this.#texts.set(path, text);
    }
  }

  /** The report, as a file that can be opened from now on; `undefined` when it is not wanted. */
  reportRecord(report: Report, now: Date): RecordInit | undefined {
    if (!this.options.sidecars) return undefined;
    const text = jsonText(report);
    this.#texts.set(this.layout.report, text);
    return fileRecord(this.layout.report, byteLength(text), now);
  }

  /** The content of a small file, or `undefined` when the path is none. */
  textAt(path: string): string | undefined {
    return this.#texts.get(path);
  }

  /**
   * Dumps the guest whose archive stands at `path` into `store`, when it is its node's turn.
   *
   * @throws {UserError} with the reason when the dump failed
   */
  async dump(path: string, store: SnapshotSink["store"], signal: AbortSignal): Promise<void> {
    const guest = this.#guests.get(path);
    if (!guest) throw new UserError("usage", `Cannot open "${path}": the backup holds no such file`);
    const dump = this.run.backUp(guest, { store }, signal);
    this.#dumps.push(dump);
    const report = await dump;
    if (report.outcome !== "good") throw new UserError("failed", report.error ?? "The dump failed");
  }

  /** Waits for the dumps at work, if any. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#dumps);
  }

  report(): Report {
    return this.run.report();
  }

  /** Why the run as a whole has failed, or `undefined`. Without any file opened it was a dry run. */
  failure(report: Report): string | undefined {
    const failed = report.guests.filter((guest) => guest.outcome === "failed");
    const isWithoutGood = report.guests.every((guest) => guest.outcome !== "good");
    const isLost = failed.length > 0 &&
      (this.options.on_error === "fail" || (isWithoutGood && this.#wasTried()));
    if (!isLost) return undefined;
    return `The backup failed: ${failed.map(({ error, vmid }) => error ?? String(vmid)).join("; ")}`;
  }

  #wasTried(): boolean {
    return this.#dumps.length > 0 || this.run.guests.length === 0;
  }

  /** Waits for dumps that are being ended: what each leaves on its node goes with its directory there. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.settle();
    await this.nodes.close();
  }
}

function jsonText(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}
