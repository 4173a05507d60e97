import type { MessageInitShape } from "@bufbuild/protobuf";
import { parseArchiveName } from "../archive/names.ts";
import { messageOf, UserError } from "../core/errors.ts";
import type { Requests, Responses } from "../rpc/grpc/methods.ts";
import type { Services } from "../rpc/grpc/server.ts";
import { originOfOptions } from "../setup/where.ts";
import type { PluginContext } from "./context.ts";
import type { ArrivedArchive } from "./arrived.ts";
import type { ExportSession } from "./export_session.ts";
import { afterInit, explained, inPlakarsWords } from "./explained.ts";
import { type IncomingFile, incomingFiles } from "./incoming_files.ts";
import { isSidecar } from "./layout.ts";
import { exporterOptions, type GivenExporterOptions } from "./options.ts";
import type { Record } from "./proto/connectors_pb.ts";
import { Exporter, type ExportRequest, type ExportResponseSchema } from "./proto/exporter_pb.ts";
import { serviceOf } from "./proto/service.ts";

type ExportResponses = Responses<MessageInitShape<typeof ExportResponseSchema>>;

/** Bytes of a small file that is read into memory; a larger one is passed over. */
const TEXT_LIMIT = 64 * 1024 * 1024;

/** The service that plakar writes restored files to. */
export function exporterService(context: PluginContext): Services {
  let options: GivenExporterOptions | undefined;
  return serviceOf(Exporter, {
    init: ({ config }) =>
      explained(() => {
        const given = exporterOptions(config);
        const origin = originOfOptions(given);
        options = given;
        return { origin, type: "proxmox", root: "/", flags: 0 };
      }),
    ping: () =>
      explained(async () => {
        const { pingNode } = await import("../setup/reach.ts");
        await pingNode(afterInit(options), context, "qmrestore", "qm", "pct");
        return {};
      }),
    export: (requests, responses, { signal }) =>
      explained(async () => {
        const { ExportSession } = await import("./export_session.ts");
        await using session = await ExportSession.open(afterInit(options), context, signal);
        await new Export(session, afterInit(options), responses, context).run(requests);
      }),
    close: () => ({}),
  });
}

/** Takes files as they come, restores archives, and tells a result for each. */
class Export {
  /** An archive whose neighbours may still come: they stand behind it. */
  #waiting: ArrivedArchive | undefined;
  /** The vmid of a guest that was streamed right before. */
  #streamed: number | undefined;
  #restored = 0;
  readonly #failures: string[] = [];

  constructor(
    private readonly session: ExportSession,
    private readonly options: GivenExporterOptions,
    private readonly responses: ExportResponses,
    private readonly context: PluginContext,
  ) {}

  async run(requests: Requests<ExportRequest>): Promise<void> {
    try {
      for await (const file of incomingFiles(requests)) await this.#handle(file);
    } catch (error) {
      this.#fail(error);
    }
    await this.#restoreWaiting();
    if (this.#failures.length > 0) throw new UserError("failed", this.#failures.join("; "));
    if (this.#restored === 0) throw new UserError("failed", "Nothing was restored: no archive came");
  }

  async #handle(file: IncomingFile): Promise<void> {
    const { record } = file;
    const { pathname, hasReader } = record;
    const baseName = pathname.slice(pathname.lastIndexOf("/") + 1);
    if (!hasReader) return await this.#tell(record);
    if (isSidecar(baseName)) {
      const text = (await readText(file)).trim();
      if (baseName.endsWith("_pool.conf")) this.#notePool(text);
      return await this.#tell(record);
    }
    await this.#restoreWaiting();
    const name = parseArchiveName(baseName);
    if (name) {
      await this.#attempt(record, async () => {
        this.#waiting = await this.session.take(file, baseName, name);
      });
      // What comes in a stream is here only now.
      if (this.#waiting?.stream) await this.#restoreWaiting();
    } else {
      if (/^\.?manifest\.json$/.test(baseName)) this.session.foresee(await readText(file));
      if (/^\.?report\.json$/.test(baseName)) this.session.learnFrom(await readText(file));
      await file.drain();
      await this.#tell(record);
    }
  }

  /** Where a guest was that waits; one that was streamed stands already. */
  #notePool(pool: string): void {
    if (this.#waiting) this.#waiting.archive.pool = pool;
    else if (this.#streamed !== undefined && this.options.pool === undefined) {
      this.context.say(
        `Guest ${this.#streamed} was in pool "${pool}", which came behind its stream; ` +
          `to put it there: pvesh set /pools/${pool} --vms ${this.#streamed}`,
      );
    }
    this.#streamed = undefined;
  }

  async #restoreWaiting(): Promise<void> {
    const arrived = this.#waiting;
    this.#waiting = undefined;
    if (!arrived) return;
    const isGood = await this.#attempt(arrived.record, async () => {
      if (this.options.restore_to === "files") await this.session.keepAsFile(arrived);
      else if (this.options.dry_run) await this.#sayPlan(arrived);
      else await this.session.restore(arrived);
      this.#restored++;
    });
    await this.session.putAway(arrived);
    const { archive, stream, target } = arrived;
    const isPoolless = stream && archive.pool === undefined && !this.options.dry_run;
    this.#streamed = isGood && isPoolless ? target : undefined;
    if (isGood) await this.#tell(arrived.record);
  }

  async #sayPlan(arrived: ArrivedArchive): Promise<void> {
    const { planLines } = await import("../restore/plan_text.ts");
    const { refusalSentences } = await import("../restore/report.ts");
    const plan = await this.session.plan(arrived);
    for (const line of planLines([plan])) this.context.say(line);
    if (plan.refusals.length > 0) throw new UserError("failed", refusalSentences(plan).join("; "));
  }

  /** Does one step for a file; a failure is its result, and goes into the sum at the end. */
  async #attempt(record: Record, step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#fail(error);
      await this.#tell(record, inPlakarsWords(messageOf(error)));
      return false;
    }
  }

  #fail(error: unknown): void {
    const text = messageOf(error);
    if (!this.#failures.some((known) => known.includes(text))) this.#failures.push(text);
  }

  /** Answers with the very record that came: plakar takes none without its file information. */
  async #tell(record: Record, error = ""): Promise<void> {
    await this.responses.send({ result: { header: record, error } });
  }
}

async function readText(file: IncomingFile): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const chunk = await file.source.read(new Uint8Array(64 * 1024));
    if (chunk.byteLength === 0 || length > TEXT_LIMIT) break;
    parts.push(chunk);
    length += chunk.byteLength;
  }
  return await new Blob(parts as BlobPart[]).text();
}
