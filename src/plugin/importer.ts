import { UserError } from "../core/errors.ts";
import { bytesSource } from "../core/bytes.ts";
import type { ImporterOptions } from "../config/options.ts";
import { SELECTION_KEYS, selectionOf } from "../setup/selection.ts";
import { originOfOptions } from "../setup/where.ts";
import { GrpcError, Status } from "../rpc/grpc/status.ts";
import type { Services } from "../rpc/grpc/server.ts";
import type { Requests, Responses } from "../rpc/grpc/methods.ts";
import { afterInit, explained } from "./explained.ts";
import { sendChunks } from "./chunk_sender.ts";
import type { PluginContext } from "./context.ts";
import type { ImportSession } from "./import_session.ts";
import { importerOptions } from "./options.ts";
import {
  Importer,
  type ImportRequest,
  type ImportResponseSchema,
  type OpenResponseSchema,
} from "./proto/importer_pb.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RecordInit } from "./records.ts";
import { serviceOf } from "./proto/service.ts";

/** Bits of InitResponse.flags: one pass over the records (STREAM), and never merged with another source (NOMERGE). */
const FLAGS = 4 | 16;

type ImportResponses = Responses<MessageInitShape<typeof ImportResponseSchema>>;
type OpenResponses = Responses<MessageInitShape<typeof OpenResponseSchema>>;

/** The service that plakar reads backups from. */
export function importerService(context: PluginContext): Services {
  let options: ImporterOptions | undefined;
  let session: ImportSession | undefined;

  return serviceOf(Importer, {
    init: ({ config }) =>
      explained(() => {
        const given = importerOptions(config);
        // A stored source may leave the guests to each backup: it can be checked and pinged without them.
        if (SELECTION_KEYS.some((key) => given[key] !== undefined)) selectionOf(given);
        const origin = originOfOptions(given);
        options = given;
        return { origin, type: "proxmox", root: "/", flags: FLAGS };
      }),
    ping: () =>
      explained(async () => {
        const { pingNode } = await import("../setup/reach.ts");
        await pingNode(afterInit(options), context, "vzdump");
        return {};
      }),
    import: (requests, responses, { signal }) =>
      explained(async () => {
        const { ImportSession } = await import("./import_session.ts");
        await using opened = await ImportSession.open(afterInit(options), context, signal);
        session = opened;
        await runImport(opened, requests, responses, context);
      }),
    open: ({ record }, responses, { signal }) =>
      explained(async () => {
        if (!session) throw new GrpcError(Status.FAILED_PRECONDITION, "Import was not called");
        await openFile(session, record?.pathname ?? "", responses, signal);
      }),
    close: () => ({}),
  });
}

/** Tells the records, waits until plakar is done with them, then tells the report. */
async function runImport(
  session: ImportSession,
  requests: Requests<ImportRequest>,
  responses: ImportResponses,
  context: PluginContext,
): Promise<void> {
  let told = 0;
  const tell = async (record: RecordInit) => {
    told++;
    await responses.send({ record });
  };
  const acks = countAcks(requests);
  for (const record of session.records()) await tell(record);
  await acks.reach(told);
  await session.settle();

  const report = session.report();
  const failure = session.failure(report);
  if (failure !== undefined) throw new UserError("failed", failure);
  const record = session.reportRecord(report, context.now());
  if (record) {
    await tell(record);
    await acks.reach(told);
  }
  const failed = report.guests.filter((guest) => guest.outcome === "failed" || guest.outcome === "left-out");
  if (failed.length > 0) context.say(`Not backed up: ${failed.map(({ vmid }) => vmid).join(", ")}`);
  await responses.send({ finished: true });
}

/** plakar acknowledges each record when it is done with it, whether or not it went well. */
function countAcks(requests: Requests<ImportRequest>): { reach(count: number): Promise<void> } {
  let seen = 0;
  return {
    async reach(count) {
      while (seen < count) {
        if ((await requests.next()).done) {
          throw new GrpcError(Status.CANCELLED, "The client ended the import");
        }
        seen++;
      }
    },
  };
}

async function openFile(
  session: ImportSession,
  path: string,
  responses: OpenResponses,
  signal: AbortSignal,
): Promise<void> {
  const text = session.textAt(path);
  if (text !== undefined) {
    await sendChunks(bytesSource(new TextEncoder().encode(text)), responses);
    return;
  }
  await session.dump(path, async (_name, source, record) => {
    const cancel = () => void source.cancel(signal.reason).catch(() => {});
    signal.addEventListener("abort", cancel);
    try {
      return record({ bytes: await sendChunks(source, responses) });
    } catch (error) {
      await source.cancel(error).catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }, signal);
}
