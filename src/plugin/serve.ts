import { createGrpcHandler } from "../rpc/grpc/server.ts";
import { ServerConnection } from "../rpc/http2/connection.ts";
import { stdioWire } from "../rpc/stdio.ts";
import type { PluginContext } from "./context.ts";

/** Bytes that may be on their way to us: enough to be sent while some are checked and written. */
const WINDOWS = { streamWindow: 4 * 1024 * 1024, connectionWindow: 8 * 1024 * 1024 };

/** The two sides that plakar starts. */
export type PluginMode = "importer" | "exporter";

/**
 * Serves plakar on stdin and stdout until it closes our input; settles when what was running has ended. plakar
 * waits for the first answer: what Init does not need is loaded later.
 */
export async function servePlugin(mode: PluginMode, context: PluginContext): Promise<void> {
  const services = mode === "importer"
    ? (await import("./importer.ts")).importerService(context)
    : (await import("./exporter.ts")).exporterService(context);
  await new ServerConnection(stdioWire(), createGrpcHandler(services), WINDOWS).run();
}
