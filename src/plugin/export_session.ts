import { parseGuestConfig } from "../archive/guest_config.ts";
import type { ArchiveName } from "../archive/names.ts";
import { type ArchiveContents, ArchiveDamage } from "../archive/contents.ts";
import type { ExporterOptions } from "../config/options.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import { FORM_VERSION, manifestSchema, reportSchema } from "../core/snapshot.ts";
import type { ProxmoxNode } from "../proxmox/cluster.ts";
import { openWorkDir, pruningStorage, type WorkDir } from "../proxmox/work_dir.ts";
import { emptyEntry, refusalSentences, type RestoreReport } from "../restore/report.ts";
import { restoreStaged, stagedName } from "../restore/restore_guest.ts";
import { stageArchive, stageFailure } from "../restore/stage.ts";
import { freeVmids } from "../restore/survey.ts";
import { decoderTools } from "../setup/decoders.ts";
import { openLocalNode, thisMachine } from "../setup/local_node.ts";
import { reportPath, saveReport } from "../setup/restore_reports.ts";
import { planWishes } from "../setup/restore_setup.ts";
import { newRunId } from "../setup/run_id.ts";
import type { PluginContext } from "./context.ts";
import type { Record } from "./proto/connectors_pb.ts";
import type { IncomingFile } from "./incoming_files.ts";
import type { PlannedRestore } from "../restore/plan.ts";

/** An archive that has arrived whole, and waits for what stands beside it. */
export interface ArrivedArchive {
  record: Record;
  archive: StoredArchive;
  contents: ArchiveContents;
  /** Where it lies on the node. */
  path: string;
  target: number | undefined;
}

/** One run of the exporter: archives are staged, checked and restored one after the other. */
export class ExportSession implements AsyncDisposable {
  readonly #targets = new Map<number, string>();
  readonly #sizes = new Map<string, number>();
  readonly #report: RestoreReport;
  #count = 0;
  /** Why none of the snapshot's archives is restored. */
  #refusal: string | undefined;

  private constructor(
    readonly node: ProxmoxNode,
    private readonly options: ExporterOptions,
    private readonly workDir: WorkDir,
    private readonly context: PluginContext,
    private readonly stop: AbortSignal,
    private readonly reportFile: string,
    runId: string,
  ) {
    const started = context.now().toISOString();
    this.#report = { version: FORM_VERSION, run: runId, started, node: node.name, guests: [] };
  }

  static async open(
    options: ExporterOptions,
    context: PluginContext,
    stop: AbortSignal,
  ): Promise<ExportSession> {
    const node = await openLocalNode();
    const runId = newRunId();
    const workDir = await openWorkDir(node, options.dump_dir, runId, 0o700);
    const reportFile = reportPath(Deno.env.toObject(), context.now(), runId);
    return new ExportSession(node, options, workDir, context, stop, reportFile, runId);
  }

  /** Reads a snapshot's manifest: where it tells of several guests for one vmid, all are refused before any starts. */
  foresee(manifestText: string): void {
    const { newid, restore_to } = this.options;
    if (typeof newid !== "number" || restore_to === "files") return;
    const { guests } = manifestSchema.safeParse(parseJson(manifestText)).data ?? { guests: [] };
    if (guests.length > 1) this.#refusal = `${guests.length} guests cannot all be restored to vmid ${newid}`;
  }

  /** Reads a snapshot's own report: archives that arrive with another size than was recorded are refused. */
  learnFrom(reportText: string): void {
    for (const { archive } of reportSchema.safeParse(parseJson(reportText)).data?.guests ?? []) {
      if (archive) this.#sizes.set(archive.name, archive.bytes);
    }
  }

  /**
   * Brings an archive onto the node and proves it whole. Touches no guest.
   *
   * @throws {UserError} when it is damaged, or when another archive was there for its target
   */
  async take(file: IncomingFile, baseName: string, name: ArchiveName): Promise<ArrivedArchive> {
    const archive = this.#archiveOf(file, baseName, name);
    const target = await this.#claimTarget(archive, file.record.pathname);
    const dir = await this.workDir.makeDir(String(++this.#count));
    const { compression, kind } = name;
    const path = `${dir}/${stagedName({ archive, compression, kind, target: target ?? 0 })}`;
    const { node, stop } = this;
    try {
      const contents = await stageArchive({
        archive,
        compression,
        source: file.source,
        node,
        path,
        decoder: decoderTools(thisMachine()),
        onBytes: () => {},
        stop,
      });
      this.#requireRecordedSize(baseName, contents.bytes);
      return { record: file.record, archive, contents, path, target };
    } catch (error) {
      await this.workDir.removeDir(String(this.#count));
      throw stageFailure(`"${baseName}"`, error);
    }
  }

  /** Restores an archive that was taken; `pool` is where the guest was, if something beside the archive told. */
  async restore(arrived: ArrivedArchive, pool: string | undefined): Promise<void> {
    const { options, node } = this;
    const plan = await this.plan(arrived, pool);
    const entry = emptyEntry(plan, "failed");
    this.#report.guests.push(entry);
    if (plan.refusals.length > 0) {
      entry.outcome = "refused";
      throw new UserError("failed", refusalSentences(plan).join("; "));
    }
    await restoreStaged(plan, entry, arrived.path, {
      node,
      workDir: this.workDir,
      shutdownTimeout: options.shutdown_timeout,
      bwlimit: options.bwlimit,
      listen: () => {},
      stop: this.stop,
      save: () => saveReport(this.reportFile, this.#report),
    });
    if (entry.outcome === "not-running") {
      throw new UserError("partial", entry.error ?? "The guest is not running");
    }
    entry.outcome = "good";
  }

  /**
   * Puts an archive that was taken into dump_dir under its own name; never in the place of another file.
   *
   * @throws {UserError} when the name is taken, or when the storage of dump_dir would soon remove the archive
   */
  async keepAsFile({ archive, path }: ArrivedArchive): Promise<void> {
    const { dump_dir, protected: isProtected } = this.options;
    const { files } = this.node.runner;
    const target = `${dump_dir}/${archive.name}`;
    const refuse = (why: string, hint: string) =>
      new UserError("failed", `Cannot write "${target}": ${why}`, { hint });
    if (await files.stat(target)) {
      throw refuse("it exists", "files are never overwritten; give another dump_dir");
    }
    const pruning = isProtected ? undefined : await pruningStorage(this.node, dump_dir);
    if (pruning !== undefined) {
      throw refuse(
        `storage "${pruning}" prunes this directory`,
        "pass protected=true, or give another dump_dir",
      );
    }
    if (isProtected) await (await files.create(`${target}.protected`)).close();
    try {
      await files.link(path, target);
    } catch (error) {
      if (isProtected) await files.removeFile(`${target}.protected`);
      throw error;
    }
  }

  /** What a restore of the archive would do. */
  async plan(arrived: ArrivedArchive, pool: string | undefined): Promise<PlannedRestore> {
    const { archive, contents, target } = arrived;
    const wish = {
      archive,
      compression: contents.compression,
      config: parseGuestConfig(contents.config ?? "").values,
      disks: contents.disks ?? [],
      ...(target !== undefined ? { target } : {}),
    };
    const plan = (await planWishes(this.node, [wish], this.options))[0] as PlannedRestore;
    if (plan.pool === undefined && pool !== undefined && plan.action === "create") plan.pool = pool;
    return plan;
  }

  /** Removes what was staged for an archive. */
  async putAway(arrived: ArrivedArchive): Promise<void> {
    if (!this.options.cleanup) return;
    await this.workDir.removeDir(arrived.path.split("/").at(-2) as string);
  }

  #archiveOf({ record }: IncomingFile, baseName: string, name: ArchiveName): StoredArchive {
    const told = this.#sizes.get(baseName);
    const announced = Number(record.fileInfo?.size ?? 0n);
    return {
      name: baseName,
      kind: name.kind,
      bytes: told ?? announced,
      ...(name.vmid !== undefined ? { vmid: name.vmid } : {}),
      ...(name.time ? { taken: name.time } : {}),
    };
  }

  /** A free vmid that no archive of this run is meant for: what is only planned takes none on the node. */
  async #nextVmid(): Promise<number | undefined> {
    return (await freeVmids(this.node, this.#targets.size + 1)).find((vmid) => !this.#targets.has(vmid));
  }

  #requireRecordedSize(baseName: string, bytes: number): void {
    const recorded = this.#sizes.get(baseName);
    if (recorded === undefined || recorded === bytes) return;
    throw new ArchiveDamage(`Archive has ${bytes} bytes, but ${recorded} were recorded at the backup`);
  }

  /** Decides the target on arrival: a second archive for it is refused before it is staged. */
  async #claimTarget(archive: StoredArchive, pathname: string): Promise<number | undefined> {
    const { newid } = this.options;
    if (this.options.restore_to === "files") return archive.vmid;
    if (this.#refusal !== undefined) {
      throw new UserError("failed", `Cannot restore "${pathname}": ${this.#refusal}`, {
        hint: "restore one of them, or pass newid=next",
      });
    }
    const target = newid === "next" ? await this.#nextVmid() : newid ?? archive.vmid;
    if (target === undefined) return undefined;
    const other = this.#targets.get(target);
    if (other !== undefined) {
      throw new UserError(
        "failed",
        `Cannot restore "${pathname}" to vmid ${target}: "${other}" came for it before`,
        {
          hint: "restore one archive at a time, or pass newid=next",
        },
      );
    }
    this.#targets.set(target, pathname);
    return target;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workDir.close(!this.options.cleanup);
    const replaced = this.#report.guests.filter((guest) => guest.replaced);
    if (replaced.length === 0) return;
    this.#report.finished = this.context.now().toISOString();
    await saveReport(this.reportFile, this.#report).catch((error) => this.context.say(messageOf(error)));
  }
}

/** The document in a text, or nothing where there is none: archives can be restored without it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
