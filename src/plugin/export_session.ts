import { parseGuestConfig } from "../archive/guest_config.ts";
import type { ArchiveName } from "../archive/names.ts";
import { ArchiveDamage } from "../archive/contents.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { StoredArchive } from "../core/sink.ts";
import { FORM_VERSION, homeOf, type Manifest, manifestSchema, reportSchema } from "../core/snapshot.ts";
import { listGuests, type ProxmoxNode } from "../proxmox/cluster.ts";
import { type Nodes, requireNode } from "../proxmox/nodes.ts";
import { openWorkDir, pruningStorage } from "../proxmox/work_dir.ts";
import { afterwords, emptyEntry, refusalSentences, type RestoreReport } from "../restore/report.ts";
import { readHead } from "../restore/peek.ts";
import { restoreStaged, stagedName } from "../restore/restore_guest.ts";
import { stageArchive, stageFailure, storagesToWrite } from "../restore/stage.ts";
import { streamGuest } from "../restore/stream_guest.ts";
import { freeVmids, targetNode, targetOf, targetRule } from "../restore/targets.ts";
import { decoderTools } from "../setup/decoders.ts";
import { thisMachine } from "../setup/local_node.ts";
import { openNodes } from "../setup/reach.ts";
import { reportPath, saveReport } from "../setup/restore_reports.ts";
import { planOnNodes } from "../setup/restore_setup.ts";
import { newRunId } from "../setup/run_id.ts";
import type { ArrivedArchive } from "./arrived.ts";
import type { PluginContext } from "./context.ts";
import type { GivenExporterOptions } from "./options.ts";
import { testArrived } from "./test_arrived.ts";
import type { IncomingFile } from "./incoming_files.ts";
import type { PlannedRestore } from "../restore/plan.ts";

/**
 * One run of the exporter: archives are staged, checked and restored one after the other, each on the node where its
 * guest lives.
 */
export class ExportSession implements AsyncDisposable {
  readonly #targets = new Map<number, string>();
  readonly #sizes = new Map<string, number>();
  readonly #report: RestoreReport;
  #count = 0;
  /** Something was done of which the report must tell. */
  #isReportBegun = false;
  /** What the snapshot says of itself, once that has come. */
  #manifest: Manifest | undefined;
  /** Why none of the snapshot's archives is restored. */
  #refusal: string | undefined;

  private constructor(
    private readonly nodes: Nodes,
    private readonly options: GivenExporterOptions,
    private readonly context: PluginContext,
    private readonly stop: AbortSignal,
    private readonly reportFile: string,
    private readonly runId: string,
  ) {
    const started = context.now().toISOString();
    this.#report = { version: FORM_VERSION, run: runId, started, node: nodes.entry.name, guests: [] };
  }

  static async open(
    options: GivenExporterOptions,
    context: PluginContext,
    stop: AbortSignal,
  ): Promise<ExportSession> {
    const nodes = await openNodes(options, context);
    try {
      if (options.node !== undefined) requireNode(nodes.entry, options.node);
      targetRule(options);
      const runId = newRunId();
      const reportFile = reportPath(Deno.env.toObject(), context.now(), runId);
      return new ExportSession(nodes, options, context, stop, reportFile, runId);
    } catch (error) {
      await nodes.close();
      throw error;
    }
  }

  /** Reads a snapshot's manifest: where it tells of several guests for one vmid, all are refused before any starts. */
  foresee(manifestText: string): void {
    const { newid, restore_to } = this.options;
    this.#manifest = manifestSchema.safeParse(parseJson(manifestText)).data;
    const guests = this.#manifest?.guests ?? [];
    if (typeof newid !== "number" || restore_to === "files") return;
    if (guests.length > 1) this.#refusal = `${guests.length} guests cannot all be restored to vmid ${newid}`;
  }

  /** Reads a snapshot's own report: archives that arrive with another size than was recorded are refused. */
  learnFrom(reportText: string): void {
    for (const { archive } of reportSchema.safeParse(parseJson(reportText)).data?.guests ?? []) {
      if (archive) this.#sizes.set(archive.name, archive.bytes);
    }
  }

  /**
   * Brings an archive onto its node and proves it whole, or no more than its beginning where it is to be streamed.
   * Touches no guest.
   *
   * @throws {UserError} when it is damaged, or when another archive was there for its target
   */
  async take(file: IncomingFile, baseName: string, name: ArchiveName): Promise<ArrivedArchive> {
    const archive = this.#archiveOf(file, baseName, name);
    const target = await this.#claimTarget(archive, file.record.pathname);
    const node = await this.#nodeOf(target);
    const { dump_dir, restore_to, restore_method, storage } = this.options;
    const workDir = await openWorkDir(node, dump_dir, `${this.runId}-${++this.#count}`, 0o700);
    const { compression, kind } = name;
    const storages = restore_to === "files" ? undefined : storagesToWrite(kind, storage);
    const staged = stagedName({ archive, compression, kind, target: target ?? 0, storages });
    const path = `${workDir.path}/${staged}`;
    const { stop } = this;
    const decoder = decoderTools(thisMachine());
    try {
      let { source } = file;
      const arrived = { record: file.record, archive, node, workDir, path, target };
      if (restore_to === "guest" && restore_method !== "staged") {
        const begun = await readHead(source, kind, decoder);
        source = begun.source;
        const begunArchive = { ...arrived, contents: begun.head, stream: source };
        if ((await this.plan(begunArchive)).streams) return begunArchive;
      }
      const staging = { archive, compression, source, node, path, storages, decoder, stop };
      const contents = await stageArchive({ ...staging, onBytes: () => {} });
      this.#requireRecordedSize(baseName, contents.bytes);
      return { ...arrived, contents };
    } catch (error) {
      await workDir.close();
      throw stageFailure(`"${baseName}"`, error);
    }
  }

  /** Restores an archive that was taken. */
  async restore(arrived: ArrivedArchive): Promise<void> {
    const { options } = this;
    const { node, workDir } = arrived;
    const plan = await this.plan(arrived);
    if (options.restore_test) {
      const { runId, context, stop } = this;
      return await testArrived(arrived, plan, { options, runId, context, stop });
    }
    const entry = emptyEntry(plan, "failed");
    this.#report.guests.push(entry);
    if (plan.refusals.length > 0) {
      entry.outcome = "refused";
      throw new UserError("failed", refusalSentences(plan).join("; "));
    }
    const context = {
      node,
      workDir,
      shutdownTimeout: options.shutdown_timeout,
      bwlimit: options.bwlimit,
      listen: () => {},
      stop: this.stop,
      save: () => {
        this.#isReportBegun = true;
        return saveReport(this.reportFile, this.#report);
      },
    };
    const { stream } = arrived;
    if (stream) {
      await streamGuest(plan, entry, {
        ...context,
        source: { open: () => Promise.resolve(stream) },
        decoder: decoderTools(thisMachine()),
        requireBytes: (bytes) => this.#requireRecordedSize(arrived.archive.name, bytes),
      });
    } else await restoreStaged(plan, entry, arrived.path, context);
    for (const text of afterwords(plan, entry)) this.context.say(text);
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
  async keepAsFile({ archive, node, path }: ArrivedArchive): Promise<void> {
    const { dump_dir, protected: isProtected } = this.options;
    const { files } = node.runner;
    const target = `${dump_dir}/${archive.name}`;
    const refuse = (why: string, hint: string) =>
      new UserError("failed", `Cannot write "${target}": ${why}`, { hint });
    if (await files.stat(target)) {
      throw refuse("it exists", "files are never overwritten; give another dump_dir");
    }
    const pruning = isProtected ? undefined : await pruningStorage(node, dump_dir);
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
  async plan(arrived: ArrivedArchive): Promise<PlannedRestore> {
    const { archive, contents, node, target } = arrived;
    const wish = {
      archive,
      compression: contents.compression,
      config: parseGuestConfig(contents.config ?? "").values,
      disks: contents.disks ?? [],
      isStaged: arrived.stream === undefined,
      ...(target !== undefined ? { target } : {}),
    };
    const plans = await planOnNodes(this.nodes, [wish], this.options, this.#spokenFor());
    const plan = plans[0] as PlannedRestore;
    if (plan.node !== node.name) {
      const reason = `the guest moved from node "${node.name}" to "${plan.node}" while its archive came`;
      plan.refusals.push({ reason, hint: "restore it again" });
    }
    return plan;
  }

  /** Removes what was staged for an archive, unless it is to be kept. */
  async putAway({ node, workDir, stream }: ArrivedArchive): Promise<void> {
    await workDir.close(!this.options.cleanup && !stream).catch((error) =>
      this.context.say(`"${workDir.path}" may be left on node "${node.name}": ${messageOf(error)}`)
    );
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
      ...(this.#manifest && name.vmid !== undefined ? homeOf(this.#manifest, name.vmid) : {}),
    };
  }

  /** The vmids that archives of this run went to or, by the manifest, will go to. */
  #spokenFor(): number[] {
    const rule = targetRule(this.options);
    const coming = rule === "next"
      ? []
      : (this.#manifest?.guests ?? []).map(({ name = "", vmid }) => targetOf({ name, vmid }, rule));
    return [...this.#targets.keys(), ...coming.filter((vmid) => vmid !== undefined)];
  }

  /** A free vmid that no archive of this run is meant for: what is only planned takes none on the node. */
  async #nextVmid(): Promise<number | undefined> {
    return (await freeVmids(this.nodes.entry, this.#targets.size + 1)).find((vmid) =>
      !this.#targets.has(vmid)
    );
  }

  /** A guest is restored where it lives; a new one, and a plain file, where the options say. */
  async #nodeOf(target: number | undefined): Promise<ProxmoxNode> {
    const { entry } = this.nodes;
    const guests = this.options.restore_to === "files" ? [] : await listGuests(entry);
    const guest = guests.find(({ vmid }) => vmid === target);
    return await this.nodes.node(targetNode(guest && { guest }, { node: entry.name }, this.options));
  }

  #requireRecordedSize(baseName: string, bytes: number): void {
    const recorded = this.#sizes.get(baseName);
    if (recorded === undefined || recorded === bytes) return;
    throw new ArchiveDamage(`Archive has ${bytes} bytes, but ${recorded} were recorded at the backup`);
  }

  /** Decides the target on arrival: a second archive for it is refused before it is staged. */
  async #claimTarget(archive: StoredArchive, pathname: string): Promise<number | undefined> {
    const rule = targetRule(this.options);
    if (this.options.restore_to === "files") return archive.vmid;
    if (this.#refusal !== undefined) {
      throw new UserError("failed", `Cannot restore "${pathname}": ${this.#refusal}`, {
        hint: "restore one of them, or pass newid=next or newid_offset",
      });
    }
    const target = rule === "next" ? await this.#nextVmid() : targetOf(archive, rule);
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
    await this.nodes.close();
    if (!this.#isReportBegun) return;
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
